//! The files of a realm, read as its KDC reads them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use countersign_core::krb5::profile::{
    Include, Place, Profile, ProfileError, ProfileFile, ProfileReader,
};

use crate::app::examine::Findings;

/// Where a KDC has its files.
#[derive(Debug, Clone)]
pub struct Places {
    /// Files separated by colons, as `$KRB5_CONFIG` has them.
    pub krb5_conf: String,
    /// What `$KRB5_KDC_PROFILE` names; it counts before all others.
    pub kdc_conf: PathBuf,
    /// Where sockets are that no type names.
    pub run_directory: String,
    /// The realm, if it is not the default one.
    pub realm: Option<String>,
}

/// What the files say.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) places: Places,
    pub(super) profile: Profile,
    /// Every file that was read, and when it was last changed.
    pub(super) files: Vec<(PathBuf, Option<SystemTime>)>,
    /// Its name.
    pub(super) name: Option<String>,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// The library does not take it.
    #[error(transparent)]
    Syntax(#[from] ProfileError),
    /// A file that another one includes cannot be read.
    #[error("{place}: it includes {path}, which cannot be read: {cause}")]
    Included {
        /// Where.
        place: Place,
        /// What.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
}

impl Places {
    /// Where a KDC of this machine looks, unless something else is given.
    #[must_use]
    pub fn usual(krb5_conf: Option<String>, kdc_conf: Option<PathBuf>) -> Self {
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let krb5_conf = krb5_conf.or_else(|| set("KRB5_CONFIG"));
        let kdc_conf = kdc_conf.or_else(|| set("KRB5_KDC_PROFILE").map(PathBuf::from));
        let usual = || {
            let there = KDC_CONF.iter().map(PathBuf::from).find(|path| path.exists());
            there.unwrap_or_else(|| PathBuf::from(KDC_CONF[0]))
        };
        Self {
            krb5_conf: krb5_conf.unwrap_or_else(|| KRB5_CONF.to_owned()),
            kdc_conf: kdc_conf.unwrap_or_else(usual),
            run_directory: RUN_DIRECTORY.to_owned(),
            realm: None,
        }
    }

    /// The directory in which the KDC looks for files whose name does not begin with `/`.
    /// It is built into the KDC.
    pub(super) fn kdc_directory(&self) -> PathBuf {
        let directories = KDC_CONF.iter().filter_map(|path| Path::new(path).parent());
        let mut directories = directories.map(Path::to_owned);
        let usual = || PathBuf::from("/etc/krb5kdc");
        directories.find(|directory| directory.is_dir()).unwrap_or_else(usual)
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.kdc_conf.clone()).chain(self.krb5_conf.split(':').map(PathBuf::from))
    }
}

impl Realm {
    /// Reads all files; `None` if a KDC would not start with them.
    pub(super) fn read(places: &Places, findings: &mut Findings) -> Option<Self> {
        let (mut profile, mut files) = (Profile::default(), Vec::new());
        for path in places.files() {
            let object = format!("file {}", path.display());
            match read_file(&path, &mut files) {
                Ok(Some(file)) => {
                    profile.push(file);
                    findings.good(&object, "read");
                }
                Ok(None) => findings.warning(
                    &object,
                    "it is not there or cannot be read, and the KDC goes on without it",
                    "run this on the KDC as root, or name the files by --krb5-conf and --kdc-conf",
                ),
                Err(error) => {
                    let finding = format!("{error}; the KDC does not start with this");
                    findings.error(&object, finding, "correct the line");
                    return None;
                }
            }
        }
        for remark in profile.remarks() {
            let object = format!("file {}", remark.place.file);
            let finding = format!("line {}: {}", remark.place.line, remark.text);
            findings.warning(&object, finding, "correct the line; the KDC says nothing about it");
        }
        let default = profile.value(&["libdefaults", "default_realm"]).map(str::to_owned);
        let name = places.realm.clone().or(default);
        Some(Self { places: places.clone(), profile, files, name })
    }

    /// A setting of the realm, or of all realms of the KDC.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let own = self.name.as_deref();
        let own = own.and_then(|realm| self.profile.value(&["realms", realm, name]));
        own.or_else(|| self.profile.value(&["kdcdefaults", name]))
    }
}

/// `None` if it is not there, which the library takes.
fn read_file(
    path: &Path,
    files: &mut Vec<(PathBuf, Option<SystemTime>)>,
) -> Result<Option<ProfileFile>, RealmError> {
    let Ok(text) = read_text(path, files) else { return Ok(None) };
    let mut reader = ProfileReader::new();
    reader.open(&path.to_string_lossy(), &text);
    while let Some(include) = reader.advance()? {
        for (path, text) in included(include, files)? {
            reader.open(&path, &text);
        }
    }
    Ok(Some(reader.finish()))
}

/// What a line includes, the last file first, as the reader wants it.
fn included(
    include: Include,
    files: &mut Vec<(PathBuf, Option<SystemTime>)>,
) -> Result<Vec<(String, String)>, RealmError> {
    let (path, place, paths) = match include {
        Include::File { path, place } => {
            let paths = Ok(vec![PathBuf::from(&path)]);
            (path, place, paths)
        }
        Include::Directory { path, place } => {
            let paths = directory(Path::new(&path));
            (path, place, paths)
        }
    };
    let read = paths.and_then(|paths| {
        let texts = paths
            .into_iter()
            .map(|path| Ok((path.to_string_lossy().into_owned(), read_text(&path, files)?)));
        texts.collect::<io::Result<Vec<_>>>()
    });
    let mut read = read.map_err(|cause| RealmError::Included { place, path, cause })?;
    read.reverse();
    Ok(read)
}

fn directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let names = entries.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| Include::takes(name)).collect();
    names.sort();
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

fn read_text(path: &Path, files: &mut Vec<(PathBuf, Option<SystemTime>)>) -> io::Result<String> {
    let octets = fs::read(path)?;
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    files.push((path.to_owned(), changed.ok()));
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

const KRB5_CONF: &str = "/etc/krb5.conf";
/// Debian; Fedora and Red Hat; built from source.
const KDC_CONF: [&str; 3] =
    ["/etc/krb5kdc/kdc.conf", "/var/kerberos/krb5kdc/kdc.conf", "/usr/local/var/krb5kdc/kdc.conf"];
const RUN_DIRECTORY: &str = "/run/krb5kdc";
