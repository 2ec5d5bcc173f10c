//! The MS-OTPCE listener.
