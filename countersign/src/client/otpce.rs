//! The MS-OTPCE client.
