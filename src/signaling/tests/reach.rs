//! Through a certificate of one's own, and through a proxy.

use super::*;

#[tokio::test]
async fn a_certificate_is_trusted_from_a_file_and_refused_in_words_without_it() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fake = Fake::new().await;
    let port = fake.url().port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, own.cert.pem()).expect("written");
    let trust = Dialer::new(Trust::with_file(&file).expect("a certificate"), Proxies::None);

    let serving = tokio::spawn(async move {
        acceptor.accept(fake.tcp().await).await.err();
        acceptor.accept(fake.tcp().await).await.err();
        let mut line = Line::over(acceptor.accept(fake.tcp().await).await.expect("TLS")).await;
        line.next().await;
        line.welcome(json!({})).await;
        // Plain text where TLS is expected.
        let mut tcp = fake.tcp().await;
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        (line, tcp)
    });
    let url = |host: &str| -> ServerUrl { format!("wss://{host}:{port}/").parse().expect("a URL") };
    let fails = async |host: &str, trust: &Dialer, part: &str| {
        let error = failure(&mut connect(url(host), "Ada".into(), trust.clone())).await;
        assert!(matches!(error, SignalingError::Tls { .. }) && error.to_string().contains(part), "{error}");
    };
    fails("127.0.0.1", &Dialer::default(), "certificate").await;
    fails("127.0.0.1", &trust, "another name").await;
    // `localhost` may be `::1` first, where nobody listens: the next address is tried.
    let mut client = connect(url("localhost"), "Ada".into(), trust.clone());
    assert!(matches!(next(&mut client).await, SignalEvent::Connected { .. }));
    fails("127.0.0.1", &trust, "does not speak TLS").await;
    serving.await.expect("served");
}

#[tokio::test]
async fn a_session_goes_through_the_proxy_that_is_named_and_its_refusals_are_told() {
    let fake = Fake::new().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let through = format!("http://ann:secret@{}", proxy.local_addr().expect("an address"));
    let dialer = Dialer::new(Trust::system(), Proxies::named(&through).expect("a proxy"));
    // The name means something to the proxy only.
    let url: ServerUrl = "ws://signaling.invalid:7443/".parse().expect("a URL");
    let server = fake.url().port();
    let proxying = tokio::spawn(async move {
        for answer in
            ["HTTP/1.1 407 Who?\r\n\r\n", "HTTP/1.1 403 Not there\r\n\r\n", "", "HTTP/1.1 200 OK\r\n\r\n"]
        {
            let (mut tcp, _) = proxy.accept().await.expect("somebody");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.expect("a request"));
            }
            let head = String::from_utf8(head).expect("text");
            assert!(head.starts_with("CONNECT signaling.invalid:7443 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA=="), "{head}");
            tcp.write_all(answer.as_bytes()).await.expect("written");
            if answer.contains("200") {
                let mut there = TcpStream::connect(("127.0.0.1", server)).await.expect("the server");
                tokio::io::copy_bidirectional(&mut tcp, &mut there).await.ok();
            }
        }
    });
    for part in ["refuses the user name", "to signaling.invalid:7443: it says 403", "closes the connection"] {
        let error = failure(&mut connect(url.clone(), "Ada".into(), dialer.clone())).await.to_string();
        assert!(error.contains(part) && error.contains("the proxy 127.0.0.1:"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let mut client = connect(url.clone(), "Ada".into(), dialer);
    let mut line = fake.accept().await;
    line.next().await;
    line.welcome(json!({})).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Connected { .. }));
    client.close(clock::now()).await;
    proxying.abort();
    let dead = Dialer::new(Trust::system(), Proxies::named("127.0.0.1:9").expect("a proxy"));
    let error = failure(&mut connect(url, "Ada".into(), dead)).await.to_string();
    assert!(error.contains("the proxy 127.0.0.1:9 cannot be used: nothing answers"), "{error}");
}
