//! Addresses of HTTP servers.

use std::{fmt, str::FromStr};

use hyper::Uri;

/// Where to ask, in clear or over TLS: `http[s]://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    is_plain: bool,
    host: String,
    port: u16,
    path: String,
}

/// Where to ask, over TLS: `https://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl(HttpUrl);

/// What is no address of such a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not of the form {form}://host[:port][/path]")]
pub struct UrlError {
    text: String,
    form: &'static str,
}

impl HttpUrl {
    /// Whether it is asked in clear.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The path with its query, `/` at least.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as in a header field.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.is_plain { HTTP } else { HTTPS };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let error = || UrlError { text: text.to_owned(), form: "http[s]" };
        let uri: Uri = text.parse().map_err(|_| error())?;
        let authority = uri.authority().ok_or_else(error)?;
        let is_plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(error()),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let after_host = authority.as_str().rsplit(']').next().unwrap_or_default();
        if host.is_empty()
            || authority.as_str().contains('@')
            || (after_host.contains(':') && authority.port_u16().is_none())
        {
            return Err(error());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(if is_plain { HTTP } else { HTTPS });
        Ok(Self { is_plain, host, port, path })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_plain { "http" } else { "https" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl HttpsUrl {
    /// The same server with this path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self(HttpUrl { path: path.to_owned(), ..self.0.clone() })
    }

    /// The path with its query, `/` at least.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// As an address that could be one in clear, too.
    #[must_use]
    pub fn as_http(&self) -> &HttpUrl {
        &self.0
    }
}

impl FromStr for HttpsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = text.parse().ok().filter(|url: &HttpUrl| !url.is_plain());
        url.map(Self).ok_or_else(|| UrlError { text: text.to_owned(), form: "https" })
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        for (text, written) in [
            ("https://a.b", "https://a.b/"),
            ("https://a.b:443/x", "https://a.b/x"),
            ("https://a.b:8443/x?y", "https://a.b:8443/x?y"),
            ("https://[::1]:1/", "https://[::1]:1/"),
            ("https://[::1]/", "https://[::1]/"),
        ] {
            assert_eq!(text.parse::<HttpsUrl>().unwrap().to_string(), written);
        }
        for text in [
            "",
            "a.b",
            "http://a.b",
            "https://",
            "https:///x",
            "https://u@a",
            "https://a:x/",
            "https://a:99999/",
        ] {
            assert!(text.parse::<HttpsUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn plain_urls_are_another_type() {
        for (text, written) in [
            ("http://a.b", "http://a.b/"),
            ("http://a.b:80/x?y", "http://a.b/x?y"),
            ("http://[::1]:443/", "http://[::1]:443/"),
            ("https://a.b:80", "https://a.b:80/"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(text.parse::<HttpsUrl>().is_err(), url.is_plain());
        }
        let error = "ftp://a".parse::<HttpUrl>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"ftp://a\" is not of the form http[s]://host[:port][/path]"
        );
    }
}
