//! The proxy of the desktop's network settings, where GNOME and its relatives keep them; read by the
//! program that comes with them. Desktops that set the environment instead need nothing of this.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use super::{Exception, NotAProxy, Proxies, Proxy};

/// What is set; [`Proxies::None`] outside of such a desktop.
pub fn proxies() -> Result<Proxies, NotAProxy> {
    if !cfg!(target_os = "linux") || std::env::var_os("XDG_CURRENT_DESKTOP").is_none() {
        return Ok(Proxies::None);
    }
    let list = Command::new("gsettings")
        .args(["list-recursively", "org.gnome.system.proxy"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    list.map_or(Ok(Proxies::None), |list| read(&String::from_utf8_lossy(&list.stdout)))
}

/// Group, key and value of a line like `org.gnome.system.proxy.https host 'proxy.example'`; the group
/// may be none.
fn setting(line: &str) -> Option<((&str, &str), &str)> {
    let line = line.strip_prefix("org.gnome.system.proxy")?;
    let (group, rest) = line.split_once(' ')?;
    let (key, value) = rest.split_once(' ')?;
    Some(((group.trim_start_matches('.'), key), value.trim()))
}

fn read(list: &str) -> Result<Proxies, NotAProxy> {
    let values: HashMap<(&str, &str), &str> = list.lines().filter_map(setting).collect();
    let value = |group, key| values.get(&(group, key)).map_or("", |value| value.trim_matches('\''));
    match value("", "mode") {
        "manual" => {}
        "auto" => {
            tracing::warn!("the desktop finds its proxy by a script, which is not supported; none is used");
            return Ok(Proxies::None);
        }
        _ => return Ok(Proxies::None),
    }
    let of = |group| Some((value(group, "host"), value(group, "port"))).filter(|(host, _)| !host.is_empty());
    let Some((host, port)) = of("https").or_else(|| of("http")) else {
        return Ok(Proxies::None);
    };
    let proxy = Proxy::parse(&format!("{host}:{port}"))?;
    let except = value("", "ignore-hosts").trim_matches(['[', ']']).split(',');
    let except = except.filter_map(|entry| Exception::parse(entry.trim().trim_matches('\''))).collect();
    Ok(Proxies::System { proxy, except })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server_url::Host;

    const MANUAL: &str = "org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '::1', '*.lan']
org.gnome.system.proxy mode 'manual'
org.gnome.system.proxy use-same-proxy true
org.gnome.system.proxy.http host 'other.example'
org.gnome.system.proxy.http port 8080
org.gnome.system.proxy.https host 'proxy.example'
org.gnome.system.proxy.https port 3128
";

    #[test]
    fn the_desktop_s_proxy_is_used_but_where_it_says_not_to() {
        let proxies = read(MANUAL).expect("it can be used");
        let to = |name: &str| proxies.to(&Host::Name(name.to_owned())).map(ToString::to_string);
        assert_eq!(to("call.example").as_deref(), Some("proxy.example:3128"));
        assert_eq!(to("printer.lan"), None);
        assert_eq!(proxies.to(&Host::V4([127, 0, 0, 1].into())), None);
    }

    #[test]
    fn one_for_plain_web_pages_serves_too_and_none_is_none() {
        let http = MANUAL.replace("'proxy.example'", "''");
        let proxies = read(&http).expect("it can be used");
        let proxy = proxies.to(&Host::Name("call.example".into())).map(ToString::to_string);
        assert_eq!(proxy.as_deref(), Some("other.example:8080"));
        for none in
            ["", "No such schema\n", &MANUAL.replace("manual", "none"), &MANUAL.replace("manual", "auto")]
        {
            assert_eq!(read(none), Ok(Proxies::None), "{none}");
        }
        assert!(read(&MANUAL.replace("3128", "0")).is_err(), "nobody listens at port 0");
    }

    proptest! {
        #[test]
        fn no_list_is_too_strange(text in "\\PC{0,200}") {
            let _ = read(&text);
            let _ = read(&format!("org.gnome.system.proxy mode 'manual'\norg.gnome.system.proxy.https host {text}"));
        }
    }
}
