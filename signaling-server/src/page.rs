//! The few pages that a browser sees.
//!
//! Static: nothing of the request is in them. The secret of a link is in its fragment, which no
//! server receives; the script in the page hands it to the application, and says whether the server
//! has TLS, which the application could only guess from its name.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const SCRIPT: &str = "\
const tls = location.protocol == 'https:' ? '?tls=1' : '?tls=0';
const link = 'sightline://' + location.host + location.pathname + tls + location.hash;
const open = document.getElementById('open');
open.href = link;
location.href = link;
";

const STYLE: &str = "\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem;\
color:#1b1d22;background:#f6f7f9}\
a.button{display:inline-block;padding:.6rem 1.4rem;border-radius:.6rem;background:#2f6fed;color:#fff;\
text-decoration:none}\
@media(prefers-color-scheme:dark){body{color:#e8eaf0;background:#16181d}}";

static CALL: LazyLock<String> = LazyLock::new(|| {
    page(
        "You are invited to a call",
        &format!(
            "<p><a class=\"button\" id=\"open\" href=\"#\">Open in Sightline</a></p>\
             <p>Nothing happens? Install Sightline on this computer first, then open the link again, \
             or paste it into Sightline under &ldquo;Join&rdquo;.</p>\
             <noscript><p>Scripts are switched off in this browser: copy the address of this page and \
             paste it into Sightline.</p></noscript><script>{SCRIPT}</script>"
        ),
    )
});

static HOME: LazyLock<String> = LazyLock::new(|| {
    page(
        "A Sightline server",
        "<p>Here people find each other for video calls. Enter the address of this page as the server \
         in Sightline, start a new call, and give the link to somebody.</p>",
    )
});

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n"
    )
}

/// What the link of a call shows.
pub fn call() -> &'static str {
    &CALL
}

/// What the address of the server shows.
pub fn home() -> &'static str {
    &HOME
}

/// Content-Security-Policy of every page.
pub fn policy() -> &'static str {
    &POLICY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_call_opens_the_application_with_the_fragment() {
        assert!(call().contains("'sightline://' + location.host + location.pathname + tls + location.hash"));
        assert!(call().contains(&format!("<script>{SCRIPT}</script>")), "the hash is of this very text");
    }

    #[test]
    fn the_policy_allows_our_script_and_style_and_nothing_else() {
        assert!(policy().starts_with("default-src 'none'; script-src 'sha256-"));
        assert!(!policy().contains("unsafe") && !policy().contains('*'));
    }
}
