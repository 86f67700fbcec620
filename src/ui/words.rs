//! Every text of the window, by key, so that another language is another column of this table.
//!
//! Sentences with a gap hold `{}`; [`Word::with`] fills it. What the engine says in a sentence of
//! its own (a notice, why a device failed) arrives as text and is not listed here.

macro_rules! words {
    ($($key:ident = $english:literal,)*) => {
        /// The key of a text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the text beside each key says what it is")]
        pub enum Word {
            $($key,)*
        }

        impl Word {
            /// All keys.
            #[cfg(test)]
            pub const ALL: &'static [Word] = &[$(Word::$key,)*];

            /// The text.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Word::$key => $english,)*
                }
            }
        }
    };
}

words! {
    AppName = "Sightline",
    // Start
    StartTitle = "Start or join a call",
    YourName = "Your name",
    YourNameHint = "What should others call you?",
    NewCall = "New call",
    Or = "or",
    LinkField = "Invite link or room code",
    LinkHint = "Paste a link or a room code",
    PasteLink = "Paste from clipboard",
    Join = "Join",
    OwnServer = "Your own server",
    ServerField = "Server address",
    ServerHint = "https://calls.example.org",
    HostsHere = "This computer hosts the call; the link works in this network.",
    HostedBy = "Calls go through {}.",
    Camera = "Camera",
    Microphone = "Microphone",
    Speaker = "Speaker",
    DefaultDevice = "System default",
    NoCamera = "No camera",
    NoMicrophone = "No microphone",
    NoSpeaker = "No speaker",
    TestSpeaker = "Test speaker",
    MicrophoneLevel = "Microphone level",
    Preview = "Camera preview",
    CameraOff = "Your camera is off",
    CameraOpening = "Opening the camera\u{2026}",
    CameraAbsent = "No camera",
    // Call
    MuteMicrophone = "Mute microphone",
    UnmuteMicrophone = "Unmute microphone",
    TurnCameraOff = "Turn camera off",
    TurnCameraOn = "Turn camera on",
    LeaveCall = "Leave call",
    CopyInvite = "Copy invite link",
    Copied = "Copied",
    FullScreen = "Full screen",
    LeaveFullScreen = "Leave full screen",
    LockRoom = "Lock the call",
    UnlockRoom = "Unlock the call",
    SwapPictures = "Swap pictures",
    SwapHint = "Click to swap, drag to move",
    You = "You",
    Guest = "Guest",
    CallWith = "Call with {}",
    Waiting = "Waiting for someone to join",
    WaitingHint = "Send this link to the person you want to talk to.",
    WaitingLan = "This computer hosts the call: the link works in this network only.",
    Opening = "Preparing the call\u{2026}",
    Joining = "Connecting\u{2026}",
    JoiningHint = "Reaching the server of this link.",
    Knocking = "Asking to join\u{2026}",
    KnockingHint = "Somebody inside has to let you in.",
    Connecting = "Connecting\u{2026}",
    Reconnecting = "Reconnecting\u{2026}",
    ReconnectingNoNetwork = "No network here. Reconnecting\u{2026}",
    ReconnectingNetworkChanged = "Your network changed. Reconnecting\u{2026}",
    ReconnectingSilent = "Nothing arrives. Reconnecting\u{2026}",
    ReconnectingAway = "They have no network. Reconnecting\u{2026}",
    ConnectionFailed = "The connection failed",
    TryAgain = "Try again",
    Cancel = "Cancel",
    TheirCameraOff = "{} has the camera off",
    TheyAreMuted = "muted",
    Direct = "Direct, encrypted",
    Relayed = "Relayed, encrypted",
    BarsTip = "Connection {}",
    RoundTrip = "Round trip {}",
    Verified = "The link vouches for the other side",
    NotVerified = "Nothing vouches for the other side: this link has no secret",
    ServerLost = "The server is out of reach; the call goes on.",
    TheyAreAway = "{} has lost the server; the call goes on.",
    MutedButSpeaking = "You are muted",
    WouldLikeToJoin = "{} would like to join",
    WantsIn = "would like to join",
    MoreVisitors = "{} more waiting",
    Accept = "Accept",
    Decline = "Decline",
    JoinOther = "Leave this call and join the other one?",
    LeaveAndJoin = "Leave and join",
    Stay = "Stay",
    // Ended
    Ended = "Call ended",
    NotConnected = "No call took place",
    EndedLeft = "You left the call.",
    EndedPeerLeft = "{} left the call.",
    EndedPeerLost = "The connection to {} was lost.",
    EndedDeclined = "Your request to join was declined.",
    EndedBusy = "They are in another call.",
    EndedNoAnswer = "Nobody answered.",
    EndedRoomFull = "This call has as many people as it may have.",
    EndedRoomLocked = "This call is locked; nobody new may join.",
    EndedNotFound = "There is no call behind this link (any more).",
    EndedNoPath = "No path to the other side was found. A relay server would help.",
    EndedNotAuthentic = "The other side could not prove that it has this link, so the call was ended. Ask for the link again.",
    Duration = "Duration",
    QualityWord = "Quality",
    Loss = "Packets lost",
    MeanRoundTrip = "Round trip",
    Frozen = "Picture stood still",
    Reconnects = "Reconnected",
    Times = "{} times",
    Once = "once",
    Never = "never",
    VeryGood = "very good",
    Good = "good",
    Fair = "fair",
    Poor = "poor",
    NoConnection = "lost",
    BackToStart = "Back to start",
    // Settings
    Settings = "Settings",
    CloseSettings = "Close settings",
    Person = "You",
    DevicesHead = "Devices",
    SoundHead = "Sound",
    EchoCancellation = "Remove echo",
    EchoHint = "Takes the speaker's sound out of the microphone.",
    NoiseSuppression = "Remove noise",
    NoiseHint = "Takes steady noise out of the microphone.",
    GainControl = "Even out loudness",
    GainHint = "Makes a quiet voice louder and a loud one quieter.",
    ConnectionHead = "Connection",
    RelayOnly = "Hide my network address",
    RelayHint = "Sends everything through a relay. Slower, and needs a server with one.",
    Appearance = "Appearance",
    ThemeSystem = "System",
    ThemeDark = "Dark",
    ThemeLight = "Light",
    // Test of the connection
    TestConnection = "Test my connection",
    CloseCheckup = "Close the test",
    CheckupRuns = "Testing what a call needs\u{2026}",
    CheckupStopped = "The test stopped before it was done.",
    CheckRuns = "Being tested\u{2026}",
    TestAgain = "Test again",
    CopyResult = "Copy the result",
    // Connection panel
    PanelTitle = "Connection",
    OpenPanel = "Connection details",
    ClosePanel = "Close connection details",
    DetachPanel = "Open in a window of its own",
    DockPanel = "Put beside the picture",
    TabOverview = "Overview",
    TabIce = "ICE",
    TabMedia = "Media",
    TabLog = "Log",
    NoStatsYet = "No statistics yet. They come once a second while there is a connection.",
    NoVerdict = "Nothing to say yet: no call has begun.",
    PathHead = "Path",
    NoPathYet = "No path yet.",
    ThereAndBack = "Round trip",
    Router = "Router (NAT)",
    Relay = "Relay (TURN)",
    Them = "Other side",
    AddressUnknown = "address not known",
    YouToThem = "You \u{2192} them",
    ThemToYou = "Them \u{2192} you",
    VideoRate = "Picture",
    PictureSize = "Picture size",
    PictureRate = "Pictures",
    VideoLoss = "Picture lost",
    AudioRate = "Sound",
    AudioLoss = "Sound lost",
    JitterWord = "Jitter",
    CopyReport = "Copy as text",
    // Panel: ICE
    StoryHead = "How it connected",
    StageGathering = "Gathering",
    StageSignaling = "Descriptions",
    StageChecks = "Checks",
    StageNominated = "Nominated",
    StageDtls = "DTLS",
    StageFirstPacket = "First packet",
    StageFirstPicture = "First picture",
    Since = "since {}",
    GatheringState = "Gathering",
    SignalingState = "Signaling",
    ServerState = "Server",
    StateNone = "not connected",
    StateConnected = "connected",
    StateLost = "lost",
    RestartIce = "Restart ICE",
    RestartIceHint = "Looks for a new path; the call goes on.",
    RelayOnlyNow = "Relay only",
    RelayOnlyHint = "Restarts ICE and allows nothing but a relay.",
    FilterTables = "Filter the tables",
    ServersTable = "STUN and TURN servers",
    PairsTable = "Candidate pairs",
    LocalTable = "Local candidates",
    RemoteTable = "Remote candidates",
    NoRows = "Nothing here.",
    OverRelayProtocol = "{} over {}",
    ColumnUrl = "URL",
    ColumnTransport = "Via",
    ColumnSent = "Sent",
    ColumnAnswered = "Answers",
    ColumnErrors = "Errors",
    ColumnRoundTrip = "Round trip",
    ColumnMapped = "Sees us at",
    ColumnRelayed = "Relayed address",
    ColumnTrouble = "Trouble",
    ColumnState = "State",
    ColumnLocal = "Local",
    ColumnRemote = "Remote",
    ColumnOurChecks = "Ours: sent / ok",
    ColumnTheirChecks = "Theirs: in / ok",
    ColumnBytes = "Bytes out / in",
    ColumnNominated = "Nominated",
    ColumnLastError = "Last error",
    ColumnType = "Type",
    ColumnProtocol = "Protocol",
    ColumnAddress = "Address",
    ColumnPriority = "Priority",
    ColumnInterface = "Interface",
    ColumnRelated = "Related",
    Yes = "yes",
    Ethernet = "Ethernet",
    Wifi = "Wi-Fi",
    Cellular = "cellular",
    Vpn = "VPN",
    Loopback = "loopback",
    VirtualInterface = "virtual",
    SdpHead = "Session descriptions",
    CopyLocalSdp = "Copy local",
    CopyRemoteSdp = "Copy remote",
    CopyBothSdp = "Copy both",
    ShowSdp = "Show the descriptions",
    ShowSdpHint = "The text, and what changed in it.",
    LocalSdp = "Local description",
    RemoteSdp = "Remote description",
    NoSdp = "There is none yet.",
    SdpChanged = "{} of {}; what is new or gone since the one before is marked.",
    SdpOnlyOne = "{} of {}; there was none before it.",
    SdpChangesOnly = "Changes only",
    SdpChangesHint = "Leaves out the lines that stayed.",
    NothingChanged = "Nothing changed.",
    // Panel: media
    PlotsView = "Plots",
    ObjectsView = "W3C objects",
    PausePlots = "Hold the plots",
    FollowPlots = "Follow the call",
    OneMinute = "1 min",
    FiveMinutes = "5 min",
    OneHour = "1 h",
    AllTime = "All",
    FilterPlots = "Filter the plots",
    SearchObjects = "Search objects and members",
    PlotsAt = "Values at {} UTC",
    PlotsSpan = "{} \u{2013} {} UTC; drag for earlier, Ctrl and wheel to zoom",
    NoPlots = "No plot holds these words.",
    WholeConnection = "Connection",
    SoundSent = "Sound sent",
    VideoSent = "Picture sent",
    SoundReceived = "Sound received",
    VideoReceived = "Picture received",
    PlotRoundTrip = "Round trip",
    PlotBitrate = "Bitrate",
    PlotLoss = "Packet loss",
    PlotJitter = "Jitter",
    PlotFrameRate = "Frame rate",
    PlotResolution = "Resolution",
    PlotQp = "Quantizer (QP)",
    PlotRequests = "Requests a second",
    PlotFreezes = "Freezes a second",
    PlotCoding = "Coding time per picture",
    PlotLevel = "Level",
    PlotConcealment = "Concealment",
    LineRoundTrip = "round trip",
    LineEstimate = "estimate",
    LineSent = "sent",
    LineReceived = "received",
    LineTarget = "target",
    LineLoss = "lost",
    LineJitter = "jitter",
    LineJitterBuffer = "jitter buffer",
    LineFrameRate = "pictures",
    LineWidth = "width",
    LineHeight = "height",
    LineQp = "QP",
    LineNack = "NACK",
    LinePli = "PLI",
    LineFreezes = "freezes",
    LineEncode = "encode",
    LineDecode = "decode",
    LineLevel = "level",
    LineConcealment = "concealed",
    // Panel: log
    LogAll = "Everything",
    LogMessages = "Messages",
    LogEvents = "Events",
    FilterLog = "Filter the log",
    SaveSession = "Save session",
    ExportSession = "Export",
    SaveHint = "Writes the record of this call to a file that opens here again.",
    ExportHint = "Writes a file that the importers of webrtc-internals dumps read.",
    EventsDropped = "{} older events are not kept any more.",
    LinesLost = "{} lines are missing: the disk was too slow.",
    NothingHappened = "Nothing of that has happened.",
    CloseEntry = "Close the entry",
    CopyEntry = "Copy the entry",
    // Notices
    DismissNotice = "Dismiss: {}",
    // Keys, in tooltips
    WithKey = "{} ({})",
}

impl Word {
    /// The text with its first gap filled.
    pub fn with(self, what: &str) -> String {
        self.text().replacen("{}", what, 1)
    }
}

/// A control's name with its key, for a tooltip.
pub fn with_key(name: Word, key: &str) -> String {
    Word::WithKey.with(name.text()).replacen("{}", key, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_filled_by_the_name_as_it_is() {
        assert_eq!(Word::WouldLikeToJoin.with("Ana {}"), "Ana {} would like to join");
        assert_eq!(with_key(Word::LeaveCall, "Ctrl+W"), "Leave call (Ctrl+W)");
    }

    #[test]
    fn no_text_is_empty_or_has_loose_ends() {
        for word in Word::ALL {
            assert_eq!(word.text().trim(), word.text(), "{word:?}");
            assert!(!word.text().is_empty(), "{word:?}");
        }
    }
}
