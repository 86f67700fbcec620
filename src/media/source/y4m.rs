//! A YUV4MPEG2 (Y4M) file in place of a camera: looped in real time at its own frame rate.
//!
//! The whole file is looked through when it is opened, so that one that lies about itself is
//! refused before the call and not in its middle.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::pace::Pace;
use crate::media::codec::frame_head::MAX_PIXELS;
use crate::media::frame::{FramePool, Planes, VideoFrame};
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;

/// Longest header line that is read. Real ones have less than 100 bytes.
const MAX_LINE: u64 = 1024;

/// What the first line of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size of every picture.
    pub resolution: Resolution,
    /// Pictures a second, as a fraction.
    pub rate: (u32, u32),
}

impl Header {
    /// Reads the first line, without its line feed. The error is half a sentence about the file.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line = std::str::from_utf8(line).map_err(|_| "it is not a Y4M file".to_owned())?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err("it is not a Y4M file".to_owned());
        }
        let (mut width, mut height, mut rate) = (None, None, None);
        for word in words.filter(|word| !word.is_empty()) {
            let mut letters = word.chars();
            let (letter, value) = (letters.next(), letters.as_str());
            match letter {
                Some('W') => width = Some(dimension(value)?),
                Some('H') => height = Some(dimension(value)?),
                Some('F') => rate = Some(fraction(value)?),
                Some('I') if !matches!(value, "p" | "?") => {
                    return Err("its pictures are interlaced, which is not supported".to_owned());
                }
                Some('C') if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                    return Err(format!("its colour space is {value:?}; only 8-bit 4:2:0 is supported"));
                }
                // Aspect ratio and comments.
                Some(_) | None => {}
            }
        }
        let missing = |what| format!("its header does not say the {what}");
        let resolution =
            Resolution::new(width.ok_or_else(|| missing("width"))?, height.ok_or_else(|| missing("height"))?);
        if resolution.pixels() > MAX_PIXELS {
            return Err(format!("its pictures of {resolution} are too large"));
        }
        Ok(Self { resolution, rate: rate.ok_or_else(|| missing("frame rate"))? })
    }
}

fn dimension(value: &str) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (16..=7680).contains(number));
    number.ok_or_else(|| format!("{value:?} is not a width or height from 16 to 7680"))
}

fn fraction(value: &str) -> Result<(u32, u32), String> {
    let bad = || format!("{value:?} is not a frame rate");
    let (numerator, denominator) = value.split_once(':').ok_or_else(bad)?;
    let numerator: u32 = numerator.parse().map_err(|_| bad())?;
    let denominator: u32 = denominator.parse().map_err(|_| bad())?;
    let fps = f64::from(numerator) / f64::from(denominator);
    if (0.1..=240.0).contains(&fps) { Ok((numerator, denominator)) } else { Err(bad()) }
}

/// A Y4M file as a source.
#[derive(Debug)]
pub struct Y4mFile {
    name: String,
    file: BufReader<File>,
    header: Header,
    /// Where the planes of each picture begin.
    pictures: Vec<u64>,
    pace: Pace,
    pool: FramePool,
}

impl Y4mFile {
    /// Opens a file and looks through it.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let name = path.display().to_string();
        let broken = |reason: String| DeviceError::Broken { device: name.clone(), reason };
        let open = || -> io::Result<(BufReader<File>, u64)> {
            let file = File::open(path)?;
            let about = file.metadata()?;
            if !about.is_file() {
                return Err(io::Error::other("it is not a file"));
            }
            Ok((BufReader::new(file), about.len()))
        };
        let (mut file, length) = open().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DeviceError::NotFound(name.clone()),
            io::ErrorKind::PermissionDenied => DeviceError::Refused(name.clone()),
            _ => broken(error.to_string()),
        })?;
        let line = read_line(&mut file).map_err(|error| broken(error.to_string()))?;
        let line = line.ok_or_else(|| broken("it is not a Y4M file".to_owned()))?;
        let header = Header::parse(&line).map_err(broken)?;
        let pictures =
            index(&mut file, length, header.resolution).map_err(|error| broken(error.to_string()))?;
        let pace = Pace::new(header.rate.0, header.rate.1);
        Ok(Self { name, file, header, pictures, pace, pool: FramePool::new() })
    }

    fn read(&mut self, picture: usize) -> io::Result<Planes> {
        self.file.seek(SeekFrom::Start(self.pictures[picture]))?;
        let mut planes = self.pool.take(self.header.resolution);
        let (y, u, v) = planes.planes_mut();
        self.file.read_exact(y)?;
        self.file.read_exact(u)?;
        self.file.read_exact(v)?;
        Ok(planes)
    }
}

/// One line without its line feed; `None` if it is longer than any real one or has no end.
fn read_line(file: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

/// Finds all pictures of a file whose header was read already.
fn index(file: &mut BufReader<File>, length: u64, resolution: Resolution) -> io::Result<Vec<u64>> {
    let size = Planes::len_of(resolution) as u64;
    let mut pictures = Vec::new();
    let mut position = file.stream_position()?;
    while position < length {
        let number = pictures.len() + 1;
        let line = read_line(file)?;
        if !line.is_some_and(|line| line.starts_with(b"FRAME")) {
            return Err(io::Error::other(format!("picture {number} does not begin where it should")));
        }
        position = file.stream_position()?;
        if position + size > length {
            return Err(io::Error::other(format!("it ends in the middle of picture {number}")));
        }
        pictures.push(position);
        position += size;
        file.seek(SeekFrom::Start(position))?;
    }
    if pictures.is_empty() { Err(io::Error::other("it has no pictures")) } else { Ok(pictures) }
}

impl VideoSource for Y4mFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn format(&self) -> (Resolution, f64) {
        (self.header.resolution, self.pace.fps())
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError> {
        let Some(index) = self.pace.wait(timeout) else { return Ok(None) };
        let picture = (index % self.pictures.len() as u64) as usize;
        let planes = self
            .read(picture)
            .map_err(|error| DeviceError::Broken { device: self.name.clone(), reason: error.to_string() })?;
        Ok(Some(VideoFrame::new(planes, crate::clock::now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(content: &[&[u8]]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        content.iter().for_each(|part| file.write_all(part).unwrap());
        file
    }

    /// What opening a file with this content says, which must name the file.
    fn refusal(content: &[&[u8]]) -> String {
        let file = file(content);
        let text = Y4mFile::open(file.path()).unwrap_err().to_string();
        assert!(text.contains(&file.path().display().to_string()), "{text}");
        text
    }

    #[test]
    fn pictures_come_in_order_and_begin_again() {
        let size = Planes::len_of(Resolution::new(17, 16));
        let file = file(&[
            b"YUV4MPEG2 W17 H16 F240:1 Ip A1:1 C420jpeg XCOMMENT\n",
            b"FRAME\n",
            &vec![1; size],
            b"FRAME Ip\n",
            &vec![2; size],
        ]);
        let mut source = Y4mFile::open(file.path()).unwrap();
        assert_eq!(source.format(), (Resolution::new(17, 16), 240.0));
        for expected in [1, 2, 1] {
            assert!(source.read(usize::from(expected == 2)).unwrap().bytes().iter().all(|b| *b == expected));
        }
        assert!(source.next_frame(Duration::from_secs(1)).unwrap().is_some());
    }

    #[test]
    fn files_that_lie_are_refused_with_a_reason() {
        let head: &[u8] = b"YUV4MPEG2 W16 H16 F30:1\n";
        let picture = vec![0; Planes::len_of(Resolution::new(16, 16))];
        for (content, expected) in [
            (vec![b"RIFF".as_slice()], "not a Y4M file"),
            (vec![b"".as_slice()], "not a Y4M file"),
            (vec![b"YUV4MPEG2 W16 F30:1\n".as_slice()], "does not say the height"),
            (vec![b"YUV4MPEG2 W16 H-9 F30:1\n".as_slice()], "-9"),
            (vec![b"YUV4MPEG2 W7680 H7680 F30:1\n".as_slice()], "too large"),
            (vec![b"YUV4MPEG2 W16 H16 F30:0\n".as_slice()], "not a frame rate"),
            (vec![b"YUV4MPEG2 W16 H16 F30:1 C444\n".as_slice()], "\"444\""),
            (vec![b"YUV4MPEG2 W16 H16 F30:1 It\n".as_slice()], "interlaced"),
            (vec![head], "no pictures"),
            (vec![head, b"FRAME\n", &picture, b"FRAME\n", &picture[1..]], "middle of picture 2"),
            (vec![head, b"FRAME\n", &picture, b"frame\n"], "picture 2 does not begin"),
        ] {
            let text = refusal(&content);
            assert!(text.contains(expected), "{text} should say {expected}");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let missing = Y4mFile::open(Path::new("/no/such/film.y4m")).unwrap_err();
        assert_eq!(missing, DeviceError::NotFound("/no/such/film.y4m".to_owned()));
        let folder = Y4mFile::open(Path::new("/")).unwrap_err();
        assert!(matches!(folder, DeviceError::Broken { .. }), "{folder}");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            Header::parse(&line).ok();
        }

        #[test]
        fn no_header_field_makes_it_panic(fields in "YUV4MPEG2( [WHFICAX][0-9:a-z]{0,12}){0,6}") {
            if let Ok(header) = Header::parse(fields.as_bytes()) {
                prop_assert!(header.resolution.pixels() <= MAX_PIXELS);
            }
        }
    }
}
