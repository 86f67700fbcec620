//! Screens beside the cameras: they come and go during a call.

use super::*;
use crate::media::encoded::VideoCodec;

const VP9: ScreenReach = ScreenReach::Sent { codec: VideoCodec::Vp9, sound: true };

const SCREEN: Shared = Shared { screen: true, sound: false };

const WITH_SOUND: Shared = Shared { screen: true, sound: true };

fn screen_sound(n: u64) -> EncodedFrame {
    EncodedFrame { kind: TrackKind::ScreenSound, ..sound(n) }
}

fn page(n: u64, keyframe: bool, size: usize) -> EncodedFrame {
    EncodedFrame { kind: TrackKind::Screen, codec: Codec::Vp9, ..picture(n, keyframe, size) }
}

async fn talking() -> Call {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    call
}

impl Call {
    /// Sends one picture of each side's camera and, where it is shared, of its screen.
    fn show(&self, n: u64, keyframe: bool) {
        for side in [&self.a, &self.b] {
            side.mesh.media().send(picture(n, keyframe, 3_000));
            side.mesh.media().send(page(n, keyframe, 3_000));
        }
    }

    /// Goes on until the screen of one side arrives at the other.
    async fn until_seen(&mut self, n: u64, at_b: bool) {
        let end = clock::now() + PATIENCE;
        let mut first = true;
        loop {
            assert!(
                clock::now() < end,
                "the screen is not seen; {:?} {:?}",
                self.a.problems,
                self.b.problems
            );
            self.show(n, std::mem::take(&mut first));
            self.spend(Duration::from_millis(50)).await;
            let side = if at_b { &mut self.b } else { &mut self.a };
            while let Some(Ok(packet)) = side.track(TrackKind::Screen).map(mpsc::Receiver::try_recv) {
                assert_eq!((packet.kind, packet.codec), (TrackKind::Screen, Codec::Vp9));
                if packet.timestamp == 3_000 * n as u32 {
                    return;
                }
            }
        }
    }

    /// Goes on until the sound of one side's screen arrives at the other, beside the voice.
    async fn until_heard(&mut self, n: u64, at_b: bool) {
        let end = clock::now() + PATIENCE;
        let (mut of_screen, mut voice) = (false, false);
        while !(of_screen && voice) {
            assert!(clock::now() < end, "it is not heard; {:?} {:?}", self.a.problems, self.b.problems);
            for side in [&self.a, &self.b] {
                side.mesh.media().send(sound(n));
                side.mesh.media().send(screen_sound(n + 1));
            }
            self.spend(Duration::from_millis(50)).await;
            let side = if at_b { &mut self.b } else { &mut self.a };
            for (kind, n, heard) in
                [(TrackKind::ScreenSound, n + 1, &mut of_screen), (TrackKind::Audio, n, &mut voice)]
            {
                while let Some(Ok(packet)) = side.track(kind).map(mpsc::Receiver::try_recv) {
                    assert_eq!((packet.kind, packet.codec), (kind, Codec::Opus));
                    *heard |= packet.timestamp == 960 * n as u32;
                }
            }
        }
    }

    /// What the camera's track of a side has received, as payloads' first bytes.
    fn camera_codecs(side: &mut Side) -> Vec<Codec> {
        let mut codecs = Vec::new();
        while let Some(Ok(packet)) = side.track(TrackKind::Video).map(mpsc::Receiver::try_recv) {
            codecs.push(packet.codec);
        }
        codecs
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screen_comes_beside_the_camera_goes_and_comes_again() {
    let mut call = talking().await;
    call.a.mesh.share(SCREEN);
    let begun = clock::now();
    call.until("agreed", |call| call.a.reach == VP9).await;
    println!("a screen is agreed upon after {:?}", begun.elapsed());
    call.until_seen(7, true).await;
    assert_eq!(call.b.reach, ScreenReach::NotShared);
    call.a.mesh.share(Shared::default());
    call.until("taken back", |call| call.a.reach == ScreenReach::NotShared).await;
    call.spend(Duration::from_millis(200)).await;
    call.a.mesh.share(SCREEN);
    call.until("agreed again", |call| call.a.reach == VP9).await;
    call.until_seen(9, true).await;
    assert!(Call::camera_codecs(&mut call.b).iter().all(|codec| *codec == Codec::Vp8));
    // And the other way, by the section that is there.
    call.b.mesh.share(SCREEN);
    call.until("agreed both ways", |call| call.b.reach == VP9 && call.a.reach == VP9).await;
    call.until_seen(11, false).await;
    call.until_seen(13, true).await;
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_a_screen_is_shared_is_let_in_and_sees_and_hears_it() {
    let mut call = Call::new();
    call.b.mesh.share(WITH_SOUND);
    call.begin();
    call.connected().await;
    call.until("agreed", |call| call.b.reach == VP9).await;
    call.until_seen(7, false).await;
    call.until_heard(9, false).await;
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_share_at_the_same_moment() {
    let mut call = talking().await;
    call.hold = true;
    call.a.mesh.share(SCREEN);
    call.b.mesh.share(SCREEN);
    call.until("two offers", |call| !call.to_a.is_empty() && !call.to_b.is_empty()).await;
    call.hold = false;
    call.deliver();
    call.until("agreed both ways", |call| call.a.reach == VP9 && call.b.reach == VP9).await;
    call.until_seen(7, true).await;
    call.until_seen(8, false).await;
    // Whoever stops first does not stop the other; then both have stopped, and one begins again.
    call.a.mesh.share(Shared::default());
    call.until("taken back", |call| call.a.reach == ScreenReach::NotShared).await;
    call.until_seen(9, false).await;
    call.b.mesh.share(Shared::default());
    call.until("taken back", |call| call.b.reach == ScreenReach::NotShared).await;
    call.spend(Duration::from_millis(200)).await;
    call.a.mesh.share(SCREEN);
    call.until("agreed again", |call| call.a.reach == VP9).await;
    call.until_seen(10, true).await;
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn screens_move_with_the_rest_to_another_connection() {
    let mut call = talking().await;
    call.a.mesh.share(SCREEN);
    call.b.mesh.share(SCREEN);
    call.until("agreed both ways", |call| call.a.reach == VP9 && call.b.reach == VP9).await;
    call.until_seen(7, true).await;
    for (round, by_a) in [(10, true), (20, false)] {
        let (mover, other) = if by_a { (&mut call.a, &call.b) } else { (&mut call.b, &call.a) };
        mover.mesh.restart_ice(&other.id);
        call.spend(Duration::from_millis(400)).await;
        call.until("agreed both ways", |call| call.a.reach == VP9 && call.b.reach == VP9).await;
        call.until_seen(round, true).await;
        call.until_seen(round + 1, false).await;
    }
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_version_is_spared_the_screen_and_goes_on_with_the_call() {
    let mut call = Call::new();
    call.earlier_version = true;
    call.begin();
    call.connected().await;
    call.a.mesh.share(SCREEN);
    call.until("told", |call| call.a.reach == ScreenReach::Unable).await;
    call.show(1, true);
    call.until("the camera", |call| call.b.tracks.iter().any(|(kind, _)| *kind == TrackKind::Video)).await;
    call.spend(Duration::from_millis(100)).await;
    assert!(call.b.track(TrackKind::Screen).is_none());
    assert_eq!(call.a.roles.len(), 1, "nothing was offered again");
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_vp9_is_shown_the_screen_in_vp8() {
    let mut call = Call::new();
    call.b_without_vp9 = true;
    call.begin();
    call.connected().await;
    call.a.mesh.share(SCREEN);
    call.until("agreed", |call| call.a.reach == ScreenReach::Sent { codec: VideoCodec::Vp8, sound: true })
        .await;
    let end = clock::now() + PATIENCE;
    for n in 7.. {
        assert!(clock::now() < end, "the screen is not seen; {:?} {:?}", call.a.problems, call.b.problems);
        call.a.mesh.media().send(EncodedFrame { kind: TrackKind::Screen, ..picture(n, true, 3_000) });
        call.spend(Duration::from_millis(50)).await;
        if let Some(Ok(packet)) = call.b.track(TrackKind::Screen).map(mpsc::Receiver::try_recv) {
            assert_eq!((packet.kind, packet.codec), (TrackKind::Screen, Codec::Vp8));
            break;
        }
    }
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_of_a_screen_comes_beside_the_voice_goes_and_comes_again_from_either_side() {
    let mut call = talking().await;
    call.a.mesh.share(SCREEN);
    call.until("agreed", |call| call.a.reach == VP9).await;
    // The person allowed it later than the picture.
    call.a.mesh.share(WITH_SOUND);
    call.until_heard(7, true).await;
    call.until_seen(7, true).await;
    assert!(call.a.track(TrackKind::ScreenSound).is_none(), "only one side shares");
    call.a.mesh.share(Shared::default());
    call.until("taken back", |call| call.a.reach == ScreenReach::NotShared).await;
    call.spend(Duration::from_millis(200)).await;
    call.b.mesh.share(WITH_SOUND);
    call.until_heard(20, false).await;
    call.a.mesh.share(WITH_SOUND);
    call.until_heard(30, true).await;
    call.until_heard(40, false).await;
    // And it moves with the rest.
    let b = call.b.id.clone();
    call.a.mesh.restart_ice(&b);
    call.spend(Duration::from_millis(400)).await;
    call.until_heard(50, true).await;
    call.until_heard(60, false).await;
    call.a.mesh.share(SCREEN);
    call.spend(Duration::from_millis(300)).await;
    call.until_seen(70, true).await;
    assert_eq!((&call.a.problems, &call.b.problems), (&vec![], &vec![]));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_screens_but_not_their_sound_is_shown_the_screen_only() {
    let mut call = Call::new();
    call.silent_screens = true;
    call.begin();
    call.connected().await;
    call.a.mesh.share(WITH_SOUND);
    call.until("agreed", |call| call.a.reach == ScreenReach::Sent { codec: VideoCodec::Vp9, sound: false })
        .await;
    call.until_seen(7, true).await;
    for n in 0..5 {
        call.a.mesh.media().send(sound(n));
        call.a.mesh.media().send(screen_sound(n));
    }
    let (mut voice, end) = (0, clock::now() + PATIENCE);
    while voice < 5 {
        assert!(clock::now() < end, "the voice is disturbed: {voice} of 5 came");
        call.spend(Duration::from_millis(50)).await;
        while let Some(Ok(_)) = call.b.track(TrackKind::Audio).map(mpsc::Receiver::try_recv) {
            voice += 1;
        }
    }
    assert!(call.b.track(TrackKind::ScreenSound).is_none());
    call.close().await;
}
