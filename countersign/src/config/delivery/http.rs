//! A channel by a gateway over HTTP, as written and as checked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use countersign_core::{pki::profile::Span, secret::Secret};
use hyper::{
    HeaderMap, Method, Uri,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;

use super::{Pattern, Place, Values, one_line, pattern, percent_encode};
use crate::config::{Wrong, secret::first_line, wrong};

/// A gateway.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// `POST` usually.
    pub method: Method,
    /// Where to, with places in its path or query.
    pub url: Pattern,
    /// Scheme, host and port, which have no places and no secrets.
    pub gateway: String,
    /// What every request carries.
    pub headers: HeaderMap,
    /// What is sent; nothing by GET.
    pub body: Option<BodySettings>,
    /// Trust anchors for the server's certificate, PEM; those of the system if absent.
    pub trust: Option<PathBuf>,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub struct BodySettings {
    /// How values are escaped in it.
    pub form: BodyForm,
    /// The text.
    pub text: Pattern,
}

/// What the content type says about how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// Within quotes.
    Json,
    /// Percent-encoded.
    Form,
    /// By entities.
    Xml,
    /// On one line.
    Text,
}

/// `[delivery.NAME]` with `type = "http"`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpFile {
    /// Where to.
    pub url: String,
    /// `POST`, `PUT` or `GET`.
    pub method: Option<String>,
    /// What every request carries.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Header fields whose values are the first lines of files.
    #[serde(default)]
    pub header_files: BTreeMap<String, PathBuf>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Option<String>,
    /// Trust anchors for the server's certificate, PEM.
    pub trust: Option<PathBuf>,
    /// How long a delivery may take.
    pub timeout: Option<Span>,
    /// How many deliveries may be under way at once.
    pub max_at_once: Option<usize>,
}

impl HttpSettings {
    /// Whether others can read what is sent.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.gateway.starts_with("http:")
    }
}

impl BodyForm {
    fn of(content_type: &str) -> Option<Self> {
        let essence =
            content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/xml" | "text/xml" => Some(Self::Xml),
            "text/plain" => Some(Self::Text),
            _ if essence.ends_with("+json") => Some(Self::Json),
            _ if essence.ends_with("+xml") => Some(Self::Xml),
            _ => None,
        }
    }

    /// A value so that it stays one value.
    #[must_use]
    pub fn escape(self, value: &str) -> String {
        match self {
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Form => percent_encode(value),
            Self::Xml => {
                let text = one_line(value).replace('&', "&amp;").replace('<', "&lt;");
                text.replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
            }
            Self::Text => one_line(value),
        }
    }
}

pub(super) fn check(
    key: &str,
    file: HttpFile,
    base: &Path,
    site: &str,
) -> Result<HttpSettings, Wrong> {
    let url = pattern(format!("{key}.url"), &file.url, site)?;
    let gateway = check_url(key, &file.url, &url)?;
    let method = check_method(key, file.method.as_deref().unwrap_or("POST"))?;
    let mut headers = check_headers(key, file.headers, file.header_files, base)?;
    let body = check_body(key, file.body, file.content_type, site, &mut headers)?;
    let settings = HttpSettings {
        method,
        url,
        gateway,
        headers,
        body,
        trust: file.trust.map(|p| base.join(p)),
    };
    check_whole(key, &settings)?;
    Ok(settings)
}

/// What fits together only.
fn check_whole(key: &str, settings: &HttpSettings) -> Result<(), Wrong> {
    let body = settings.body.as_ref().map(|body| &body.text);
    if body.is_some() && settings.method == Method::GET {
        return wrong(format!("{key}.body"), "GET has no body; set method = \"POST\"");
    }
    for (place, name) in [(Place::Otp, "{otp}"), (Place::To, "{to}")] {
        if !settings.url.has(place) && !body.is_some_and(|body| body.has(place)) {
            let cause = format!("neither body nor url has {name}");
            return wrong(format!("{key}.body"), cause);
        }
    }
    if settings.is_plain() && settings.trust.is_some() {
        return wrong(format!("{key}.trust"), "an http:// server shows no certificate");
    }
    Ok(())
}

/// Scheme, host and port, which must not depend on whom an OTP is for.
fn check_url(key: &str, text: &str, url: &Pattern) -> Result<String, Wrong> {
    let key = format!("{key}.url");
    // The text itself is not repeated: it may hold the password of the gateway.
    let Some(server) = server(url.fill(&sample("1"), percent_encode).expose()) else {
        return wrong(key, "it is not of the form http[s]://host[:port]/path");
    };
    if !text.starts_with(&server) {
        return wrong(key, "places such as {to} may stand behind host and port only");
    }
    Ok(server)
}

fn server(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    (!authority.host().is_empty()).then(|| format!("{scheme}://{authority}"))
}

fn check_method(key: &str, method: &str) -> Result<Method, Wrong> {
    match method {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "GET" => Ok(Method::GET),
        _ => wrong(format!("{key}.method"), format!("{method:?} is none of POST, PUT and GET")),
    }
}

fn check_headers(
    key: &str,
    inline: BTreeMap<String, String>,
    files: BTreeMap<String, PathBuf>,
    base: &Path,
) -> Result<HeaderMap, Wrong> {
    let mut headers = HeaderMap::new();
    for (name, value) in inline {
        insert(&format!("{key}.headers.{name}"), &mut headers, &name, &Secret::new(value))?;
    }
    for (name, file) in files {
        let key = format!("{key}.header-files.{name}");
        let value = first_line(&key, &base.join(file))?;
        insert(&key, &mut headers, &name, &value)?;
    }
    Ok(headers)
}

fn insert(
    key: &str,
    headers: &mut HeaderMap,
    name: &str,
    value: &Secret<String>,
) -> Result<(), Wrong> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return wrong(key, "this is no name of a header field");
    };
    if RESERVED.contains(&name.as_str()) {
        return wrong(key, "this header field is ours to set; of the body, content-type says it");
    }
    let Ok(mut value) = HeaderValue::from_str(value.expose()) else {
        return wrong(key, "a header field has printable ASCII characters only");
    };
    value.set_sensitive(true);
    match headers.insert(name, value) {
        None => Ok(()),
        Some(_) => wrong(key, "this header field is given twice"),
    }
}

fn check_body(
    key: &str,
    body: Option<String>,
    content_type: Option<String>,
    site: &str,
    headers: &mut HeaderMap,
) -> Result<Option<BodySettings>, Wrong> {
    let key_of_type = format!("{key}.content-type");
    let Some(text) = body else {
        return match content_type {
            Some(_) => wrong(key_of_type, "there is no body; add one, or remove content-type"),
            None => Ok(None),
        };
    };
    let content_type = content_type.as_deref().unwrap_or(FORM);
    let (Some(form), Ok(value)) = (BodyForm::of(content_type), content_type.parse()) else {
        let cause = format!(
            "{content_type:?} is unknown; values can be put into JSON, XML, {FORM} and text/plain"
        );
        return wrong(key_of_type, cause);
    };
    headers.insert(hyper::header::CONTENT_TYPE, value);
    let key = format!("{key}.body");
    let text = pattern(key.clone(), &text, site)?;
    check_form(&key, form, &text)?;
    Ok(Some(BodySettings { form, text }))
}

/// Tries the body with values that would break out if they could.
fn check_form(key: &str, form: BodyForm, text: &Pattern) -> Result<(), Wrong> {
    match form {
        BodyForm::Json => {
            let filled = text.fill(&sample("\"\\\n&<"), |value| form.escape(value));
            let read = serde_json::from_str::<serde_json::Value>(filled.expose());
            read.map(drop).or_else(|error| {
                let at = (error.line(), error.column());
                wrong(key, format!("it is no JSON, as {at:?} (line, column) shows; places stand in quotes: \"{{otp}}\""))
            })
        }
        BodyForm::Form if !text.literals().all(is_encoded) => {
            wrong(key, "a form is percent-encoded; write + for a blank, as in text=Your+OTP:+{otp}")
        }
        BodyForm::Form | BodyForm::Xml | BodyForm::Text => Ok(()),
    }
}

fn is_encoded(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// A message to try a pattern with.
fn sample(value: &str) -> Values<'_> {
    static OTP: std::sync::LazyLock<Secret<String>> =
        std::sync::LazyLock::new(|| Secret::new("000000".to_owned()));
    Values { otp: &OTP, to: value, account: value }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What the request itself decides.
const RESERVED: [&str; 5] =
    ["host", "connection", "content-length", "content-type", "transfer-encoding"];
