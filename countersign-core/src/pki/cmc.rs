//! Enrolment requests around a PKCS#10 (RFC 5272), as [MS-OTPCE] has them.
