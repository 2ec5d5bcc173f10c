//! The RADIUS listener: datagrams in, answers or silence out.
