//! `otpauth://` URIs, by which authenticator apps take over a token.
