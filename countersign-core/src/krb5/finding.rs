//! What was noticed about a realm's OTP set-up: how bad it is, why, what helps.

/// One thing that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `otp type vpn`, `principal alice@EXAMPLE.COM`.
    pub object: String,
    /// What was found and what it means.
    pub cause: String,
    /// What to do about it; empty if nothing.
    pub cure: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be, or only said so that it is known.
    Good,
    /// It works, but not as somebody may think, or not safely.
    Warning,
    /// Logons will fail.
    Error,
}

impl Finding {
    /// Something that is as it should be.
    #[must_use]
    pub fn good(object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(Severity::Good, object, cause, "")
    }

    /// Something to think about.
    #[must_use]
    pub fn warning(object: impl Into<String>, cause: impl Into<String>, cure: &str) -> Self {
        Self::new(Severity::Warning, object, cause, cure)
    }

    /// Something that makes logons fail.
    #[must_use]
    pub fn error(object: impl Into<String>, cause: impl Into<String>, cure: &str) -> Self {
        Self::new(Severity::Error, object, cause, cure)
    }

    fn new(
        severity: Severity,
        object: impl Into<String>,
        cause: impl Into<String>,
        cure: &str,
    ) -> Self {
        Self { severity, object: object.into(), cause: cause.into(), cure: cure.to_owned() }
    }
}
