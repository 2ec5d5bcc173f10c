//! Failure counting, throttling and lockout: functions of state and time (RFC 4226 §7.3).
