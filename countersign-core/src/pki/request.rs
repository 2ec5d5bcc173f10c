//! What a certificate request asks for, and whether it may (digest of [MS-OTPCE], §6).
