//! One-time passwords from `oathtool` and `openssl`, which know nothing of our code.

use std::process::Command;

use data_encoding::{BASE32_NOPAD, HEXLOWER};

use super::process::run;

/// A shared secret with the settings of its token.
#[derive(Debug, Clone)]
pub struct OathToken {
    pub secret: Vec<u8>,
    pub algorithm: &'static str,
    pub digits: u32,
}

impl OathToken {
    /// SHA-1 and six digits, as nearly every token.
    pub fn usual(secret: &[u8]) -> Self {
        Self { secret: secret.into(), algorithm: "sha1", digits: 6 }
    }

    /// The shared secret as administrators write it.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.secret)
    }

    /// The OTP of a counter or time step.
    pub fn otp(&self, factor: u64) -> String {
        self.otps(factor, 1).remove(0)
    }

    /// The OTPs of so many counters or time steps in a row.
    ///
    /// `oathtool` has SHA-256 and SHA-512 for time-based tokens only, and a time step of one
    /// second since 1970 is a counter. It ends at eight digits; longer OTPs are the
    /// truncation of RFC 4226 §5.3 over OpenSSL's HMAC.
    pub fn otps(&self, first: u64, count: u64) -> Vec<String> {
        if self.digits > 8 {
            return (first..first + count).map(|factor| self.long_otp(factor)).collect();
        }
        let mut command = Command::new("oathtool");
        command.arg(format!("--totp={}", self.algorithm.to_uppercase()));
        command.args(["--time-step-size=1s", &format!("--now=@{first}")]);
        command.arg(format!("--digits={}", self.digits));
        command.args([&format!("--window={}", count - 1), "-"]);
        let output = run(&mut command, HEXLOWER.encode(&self.secret).as_bytes()).succeeded();
        output.lines().map(str::to_owned).collect()
    }

    /// The OTP of the time step that a moment lies in.
    pub fn totp(&self, time: u64, period: u64) -> String {
        self.otp(time / period)
    }

    fn long_otp(&self, factor: u64) -> String {
        let mut command = Command::new("openssl");
        command.args(["dgst", &format!("-{}", self.algorithm), "-hex", "-mac", "HMAC", "-macopt"]);
        command.arg(format!("hexkey:{}", HEXLOWER.encode(&self.secret)));
        let output = run(&mut command, &factor.to_be_bytes()).succeeded();
        let hex = output.split_whitespace().last().expect("openssl prints the HMAC last");
        let mac = HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal");
        let offset = usize::from(mac[mac.len() - 1] & 15);
        let four = mac[offset..offset + 4].try_into().expect("four octets");
        let number = u64::from(u32::from_be_bytes(four) & 0x7fff_ffff);
        format!("{:0width$}", number % 10_u64.pow(self.digits), width = self.digits as usize)
    }
}
