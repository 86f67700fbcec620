//! What a person sets and the application remembers, and the file in which it does.
//!
//! This module knows no devices and no servers: which ids and addresses are good is decided where
//! they are used.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Remembered between starts, as TOML in the system's place for settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Format of the file.
    pub version: u32,
    /// The name that others see.
    pub name: String,
    /// Signaling server (`ws://`, `wss://`, `http://` or `https://`); empty: this computer hosts.
    pub server: String,
    /// Device id; empty: the system's default; `none`: none.
    pub camera: String,
    /// Device id; empty: the system's default; `none`: none.
    pub microphone: String,
    /// Device id; empty: the system's default; `none`: none.
    pub speaker: String,
    /// Removes the speaker's sound from the microphone.
    pub echo_cancellation: bool,
    /// Removes steady noise from the microphone.
    pub noise_suppression: bool,
    /// Evens out the microphone's level.
    pub gain_control: bool,
    /// Never tell the other side our addresses.
    pub relay_only: bool,
    /// HTTP proxy (`http://[USER:PASSWORD@]HOST[:PORT]`) for servers and relays; empty: the one that
    /// the environment names; `none`: none.
    pub proxy: String,
    /// Keep a record of every call, to be opened again.
    pub keep_records: bool,
    /// How the window looks.
    pub theme: Theme,
    /// What the desktop gave with its permission to show a screen, so that it need not ask again.
    pub screen_token: String,
}

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Follows the system.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

impl Settings {
    /// The format written by this version.
    pub const VERSION: u32 = 1;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            name: String::new(),
            server: String::new(),
            camera: String::new(),
            microphone: String::new(),
            speaker: String::new(),
            echo_cancellation: true,
            noise_suppression: true,
            gain_control: true,
            relay_only: false,
            proxy: String::new(),
            keep_records: false,
            theme: Theme::System,
            screen_token: String::new(),
        }
    }
}

/// More than this is no settings file.
const MOST_BYTES: u64 = 1 << 20;

/// Why settings cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The system names no place for them.
    #[error("this system has no place for settings; set SIGHTLINE_CONFIG_DIR to a folder")]
    NoPlace,
    /// The file or its folder.
    #[error("the settings cannot be {action} ({}): {error}", path.display())]
    File {
        /// `read` or `saved`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A later version of the program wrote it.
    #[error(
        "the settings were written by a newer Sightline (format {found}) and are left as they are ({})",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

/// The file in which the settings are.
///
/// Saving replaces it in one step, so that a crash leaves either the old one or the new one. What
/// this version does not know in it is kept. Only a file of a newer format is never written.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    path: PathBuf,
}

/// Where the records of calls are: `records` in the folder that `SIGHTLINE_DATA_DIR` names, else that
/// of `SIGHTLINE_CONFIG_DIR`, else the system's place for data; `None` if there is none of them.
pub fn records_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let ours = || Some(directories::ProjectDirs::from("", "", "Sightline")?.data_dir().to_owned());
    let folder = named("SIGHTLINE_DATA_DIR").or_else(|| named("SIGHTLINE_CONFIG_DIR")).or_else(ours)?;
    Some(folder.join("records"))
}

/// What a file gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings; those by default where the file had none.
    pub settings: Settings,
    /// One sentence for the person, if something was wrong.
    pub notice: Option<String>,
}

impl SettingsFile {
    /// `SIGHTLINE_CONFIG_DIR`, else the system's place for settings.
    pub fn of_this_person() -> Result<Self, SettingsError> {
        if let Some(folder) = std::env::var_os("SIGHTLINE_CONFIG_DIR").filter(|folder| !folder.is_empty()) {
            return Ok(Self::in_folder(Path::new(&folder)));
        }
        let dirs = directories::ProjectDirs::from("", "", "Sightline").ok_or(SettingsError::NoPlace)?;
        Ok(Self::in_folder(dirs.config_dir()))
    }

    /// `settings.toml` in a folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("settings.toml") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. Whatever is wrong, there are settings; a broken file is kept aside.
    pub fn load(&self) -> Loaded {
        let text = match self.read() {
            Ok(text) => text,
            Err(error) => return Loaded::defaults(Some(error.to_string())),
        };
        let Some(text) = text else { return Loaded::defaults(None) };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return self.put_aside(error.message()),
        };
        let newer = newer_version(&table);
        match table.try_into::<Settings>() {
            Ok(settings) => {
                let notice =
                    newer.map(|found| SettingsError::Newer { path: self.path.clone(), found }.to_string());
                Loaded { settings: Settings { version: Settings::VERSION, ..settings }, notice }
            }
            Err(_) if newer.is_some() => {
                let found = newer.unwrap_or_default();
                Loaded::defaults(Some(SettingsError::Newer { path: self.path.clone(), found }.to_string()))
            }
            Err(error) => self.put_aside(error.message()),
        }
    }

    /// Writes it.
    pub fn save(&self, settings: &Settings) -> Result<(), SettingsError> {
        let failed = |error| SettingsError::File { action: "saved", path: self.path.clone(), error };
        // What cannot be parsed was put aside at the start, or was broken since: written over.
        let mut table = self.read()?.and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
        if let Some(found) = newer_version(&table) {
            return Err(SettingsError::Newer { path: self.path.clone(), found });
        }
        let ours = toml::Table::try_from(settings).map_err(|error| failed(io::Error::other(error)))?;
        table.extend(ours);
        table.insert("version".into(), Settings::VERSION.into());
        let text = toml::to_string(&table).map_err(|error| failed(io::Error::other(error)))?;
        self.replace(text.as_bytes()).map_err(failed)
    }

    /// `None` if there is no file.
    fn read(&self) -> Result<Option<String>, SettingsError> {
        let failed = |error| SettingsError::File { action: "read", path: self.path.clone(), error };
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // What is not UTF-8 becomes what is not TOML.
        Ok(Some(String::from_utf8(bytes).unwrap_or_else(|_| "\u{0}".into())))
    }

    fn put_aside(&self, why: &str) -> Loaded {
        let aside = self.path.with_extension("toml.broken");
        let kept = match std::fs::rename(&self.path, &aside) {
            Ok(()) => format!("it is kept as {}", aside.display()),
            Err(error) => format!("it could not be kept aside: {error}"),
        };
        let why = why.lines().next().unwrap_or_default();
        Loaded::defaults(Some(format!(
            "The settings could not be understood ({why}) and begin anew; {kept}."
        )))
    }

    /// Written beside, forced to the disk, then renamed over the old one.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // One name a process, so that two windows saving at once do not write into one file.
        let beside = self.path.with_extension(format!("toml.{}", std::process::id()));
        let written = (|| {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)
        })();
        if written.is_err() {
            std::fs::remove_file(&beside).ok();
            return written;
        }
        // The rename itself; not every system lets a folder be opened.
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
        Ok(())
    }
}

impl Loaded {
    fn defaults(notice: Option<String>) -> Self {
        Self { settings: Settings::default(), notice }
    }
}

fn newer_version(table: &toml::Table) -> Option<u32> {
    let found = table.get("version")?.as_integer()?;
    (found > i64::from(Settings::VERSION)).then(|| u32::try_from(found).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, SettingsFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = SettingsFile::in_folder(&folder.path().join("deeper"));
        (folder, file)
    }

    fn write(file: &SettingsFile, bytes: impl AsRef<[u8]>) {
        std::fs::create_dir_all(file.path().parent().expect("a folder")).expect("made");
        std::fs::write(file.path(), bytes).expect("written");
    }

    fn ada() -> Settings {
        Settings {
            name: "Ada \"quoted\" ñ".into(),
            theme: Theme::Dark,
            relay_only: true,
            ..Settings::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (_folder, file) = file();
        assert_eq!(file.load(), Loaded::defaults(None));
        file.save(&ada()).expect("saved");
        assert_eq!(file.load(), Loaded { settings: ada(), notice: None });
        let inside = std::fs::read_dir(file.path().parent().expect("a folder")).expect("listed").count();
        assert_eq!(inside, 1, "nothing is left beside the file");
    }

    #[test]
    fn a_broken_file_is_kept_aside_and_told() {
        for broken in [&b"name = \"A"[..], b"name = 5", b"\xff\xfe", b"version = -1", b"theme = \"pink\""] {
            let (_folder, file) = file();
            write(&file, broken);
            let loaded = file.load();
            assert_eq!(loaded.settings, Settings::default());
            assert!(loaded.notice.expect("a sentence").contains("settings.toml.broken"));
            assert_eq!(std::fs::read(file.path().with_extension("toml.broken")).expect("kept"), broken);
            file.save(&ada()).expect("saved");
            assert_eq!(file.load().settings, ada());
        }
    }

    #[test]
    fn a_file_that_lacks_something_takes_the_default_and_what_is_unknown_is_kept() {
        let (_folder, file) = file();
        write(&file, "name = \"Bob\"\nlanguage = \"de\"\n[window]\nwidth = 640\n");
        let loaded = file.load();
        assert_eq!(
            loaded,
            Loaded { settings: Settings { name: "Bob".into(), ..Settings::default() }, notice: None }
        );
        file.save(&ada()).expect("saved");
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert!(text.contains("language = \"de\"") && text.contains("width = 640"), "{text}");
    }

    #[test]
    fn a_file_of_a_newer_version_is_read_as_far_as_possible_and_never_written() {
        for newer in ["version = 9\nname = \"Eve\"\n", "version = 9\nname = { first = \"Eve\" }\n"] {
            let (_folder, file) = file();
            write(&file, newer);
            assert!(file.load().notice.expect("a sentence").contains("newer Sightline"));
            assert!(matches!(file.save(&ada()), Err(SettingsError::Newer { found: 9, .. })));
            assert_eq!(std::fs::read_to_string(file.path()).expect("text"), newer);
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let blocked = folder.path().join("blocked");
        std::fs::write(&blocked, "a file where a folder should be").expect("written");
        let error = SettingsFile::in_folder(&blocked).save(&ada()).expect_err("cannot be saved");
        assert!(error.to_string().contains("blocked"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_file_gives_settings(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let (_folder, file) = file();
            write(&file, bytes);
            let loaded = file.load();
            proptest::prop_assert_eq!(loaded.settings.version, Settings::VERSION);
        }
    }
}
