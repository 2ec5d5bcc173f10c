//! MS-OTPCE documents: `signCertRequest` and `signCertResponse` ([MS-OTPCE] §2.2).
