//! PKCS#12 files: the cipher and the randomness for `countersign_core::pki::pkcs12`.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    iv::FixedLength,
    pbkdf2,
};
use zeroize::Zeroizing;

use countersign_core::{
    pki::pkcs12::{KeyWithChain, Pbes2, Pkcs12Error, Randomness, SaltAndIv},
    secret::Secret,
};

use super::{SignerError, file::FileSigner};
use crate::vault::random_octets;

/// Why there is no PKCS#12 file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key cannot be written.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// The file cannot be made.
    #[error(transparent)]
    File(#[from] Pkcs12Error),
}

/// The DER of a PKCS#12 file with a key and its chain, the key's certificate first.
///
/// # Errors
///
/// The key cannot be written, or a part cannot be encoded.
pub fn to_pfx(
    signer: &FileSigner,
    chain: &[Vec<u8>],
    friendly_name: &str,
    password: &Secret<String>,
) -> Result<Vec<u8>, Error> {
    let key = signer.pkcs8()?;
    let random = randomness();
    let all = KeyWithChain { key: &key, chain, friendly_name };
    Ok(all.to_pfx(password, &random, &Aws)?)
}

struct Aws;

impl Pbes2 for Aws {
    fn encrypt(
        &self,
        password: &[u8],
        iterations: u32,
        random: &SaltAndIv,
        clear: &[u8],
    ) -> Option<Vec<u8>> {
        let mut key = Zeroizing::new([0; 32]);
        let iterations = NonZeroU32::new(iterations)?;
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, iterations, &random.salt, password, &mut *key);
        let key = UnboundCipherKey::new(&AES_256, &*key).ok()?;
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
        // Room for the padding, so that no clear copy is left in an outgrown buffer.
        let mut octets = Vec::with_capacity(clear.len() + random.iv.len());
        octets.extend_from_slice(clear);
        let iv = EncryptionContext::Iv128(FixedLength::from(random.iv));
        key.less_safe_encrypt(&mut octets, iv).ok()?;
        Some(octets)
    }
}

fn randomness() -> Randomness {
    let salt_and_iv = || SaltAndIv { salt: random_octets(), iv: random_octets() };
    Randomness { key: salt_and_iv(), certificates: salt_and_iv(), mac_salt: random_octets() }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use super::*;
    use crate::signer::{Signer, file::KeySpec};

    fn openssl(dir: &Path, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    #[test]
    fn openssl_reads_key_and_certificates() {
        for (name, spec) in KeySpec::NAMES {
            let dir = tempfile::tempdir().unwrap();
            let key = FileSigner::generate(spec).unwrap();
            key.save(&dir.path().join("key.pem")).unwrap();
            openssl(
                dir.path(),
                "req -x509 -new -key key.pem -subj /CN=leaf -days 1 -outform DER -out leaf.der",
            );
            openssl(
                dir.path(),
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.pem -subj /CN=root -days 1 -outform DER -out root.der",
            );
            let chain =
                ["leaf.der", "root.der"].map(|name| fs::read(dir.path().join(name)).unwrap());
            let password = Secret::new("p\u{e4}ss".to_owned());
            let pfx = to_pfx(&key, &chain, "jane", &password).unwrap();
            fs::write(dir.path().join("a.p12"), pfx).unwrap();

            let text = openssl(
                dir.path(),
                "pkcs12 -in a.p12 -info -noenc -passin pass:p\u{e4}ss -out out.pem",
            );
            assert!(text.contains("MAC: sha256") && text.contains("AES-256-CBC"), "{name}: {text}");
            let pem = fs::read_to_string(dir.path().join("out.pem")).unwrap();
            assert!(pem.contains("friendlyName: jane"), "{name}: {pem}");
            assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
            let key_at = pem.find("-----BEGIN PRIVATE KEY").unwrap();
            let end = pem[key_at..].find("-----END PRIVATE KEY-----\n").unwrap() + 26;
            let path = dir.path().join("read.pem");
            fs::write(&path, &pem[key_at..key_at + end]).unwrap();
            assert_eq!(FileSigner::load(&path).unwrap().public_key(), key.public_key());
        }
    }

    #[test]
    fn openssl_refuses_another_password() {
        let key = FileSigner::generate(KeySpec::P256).unwrap();
        let password = Secret::new("right".to_owned());
        let dir = tempfile::tempdir().unwrap();
        let pfx = to_pfx(&key, &[vec![0x30, 0]], "jane", &password).unwrap();
        fs::write(dir.path().join("a.p12"), pfx).unwrap();
        let read = |password: &str| {
            let mut command = Command::new("openssl");
            let arguments = ["pkcs12", "-in", "a.p12", "-noout", "-passin", password];
            command.args(arguments).current_dir(dir.path()).output().unwrap().status.success()
        };
        assert!(read("pass:right") && !read("pass:wrong"));
    }
}
