//! Which cameras there are. Opens none of them, so that asking often costs nothing and lights
//! no lamp.

use crate::media::devices::Device;

/// A camera that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CameraEntry {
    /// Stays the same when the camera is plugged in again or the computer starts anew, where the
    /// system lets us know.
    pub(super) id: String,
    /// The name shown to people; two of the same kind are told apart.
    pub(super) name: String,
    /// What the system calls it right now.
    pub(super) node: u32,
}

/// The cameras of this computer, in the system's order: the first one is the default. Takes less
/// than a millisecond.
pub fn cameras() -> Vec<Device> {
    entries().into_iter().map(|CameraEntry { id, name, .. }| Device { id, name }).collect()
}

pub(super) fn entries() -> Vec<CameraEntry> {
    let mut cameras = system::cameras();
    tell_apart(&mut cameras);
    cameras
}

/// Numbers the second and later of those with the same name.
fn tell_apart(cameras: &mut [CameraEntry]) {
    for at in 1..cameras.len() {
        let (before, rest) = cameras.split_at_mut(at);
        let Some(camera) = rest.first_mut() else { return };
        let plain = camera.name.clone();
        let mut number = 2;
        while before.iter().any(|other| other.name == camera.name) {
            camera.name = format!("{plain} ({number})");
            number += 1;
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! Reads what the kernel and udev say in files, instead of opening every device.

    use std::fs;
    use std::path::Path;

    use super::CameraEntry;

    pub(super) fn cameras() -> Vec<CameraEntry> {
        scan(Path::new("/"))
    }

    /// The cameras of the system whose files stand under `root`.
    pub(super) fn scan(root: &Path) -> Vec<CameraEntry> {
        let Ok(nodes) = fs::read_dir(root.join("sys/class/video4linux")) else { return Vec::new() };
        let mut cameras: Vec<CameraEntry> = nodes
            .filter_map(|node| {
                let file_name = node.ok()?.file_name();
                let node: u32 = file_name.to_str()?.strip_prefix("video")?.parse().ok()?;
                camera(root, node)
            })
            .collect();
        cameras.sort_by_key(|camera| camera.node);
        cameras
    }

    fn camera(root: &Path, node: u32) -> Option<CameraEntry> {
        let file = format!("video{node}");
        let about = root.join("sys/class/video4linux").join(&file);
        let read = |name: &str| fs::read_to_string(about.join(name)).map(|text| text.trim().to_owned());
        let gives_pictures = match read("dev").ok().and_then(|device| udev_says(root, &device)) {
            Some(capabilities) => capabilities.contains(":capture:"),
            // Without udev: a camera's first node gives the pictures, the others describe them.
            None => read("index").is_ok_and(|index| index == "0"),
        };
        if !gives_pictures || !root.join("dev").join(&file).exists() {
            return None;
        }
        let name = read("name").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| file.clone());
        let id = stable_id(root, &file).unwrap_or(file);
        Some(CameraEntry { id, name: without_echo(&name).to_owned(), node })
    }

    /// What udev's `v4l_id` found out, for example `:capture:`; `device` is `major:minor`.
    fn udev_says(root: &Path, device: &str) -> Option<String> {
        let about = fs::read_to_string(root.join("run/udev/data").join(format!("c{device}"))).ok()?;
        let found = about.lines().find_map(|line| line.strip_prefix("E:ID_V4L_CAPABILITIES="))?;
        Some(found.to_owned())
    }

    /// The link that udev made from maker, model and serial number.
    fn stable_id(root: &Path, file: &str) -> Option<String> {
        fs::read_dir(root.join("dev/v4l/by-id")).ok()?.find_map(|link| {
            let link = link.ok()?;
            let target = fs::read_link(link.path()).ok()?;
            (target.file_name()? == file).then(|| link.file_name().to_str().map(str::to_owned))?
        })
    }

    /// Drivers write "Integrated Camera: Integrated C"; the second half says nothing new.
    fn without_echo(name: &str) -> &str {
        match name.split_once(": ") {
            Some((first, second)) if first.starts_with(second.trim()) => first,
            _ => name,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// A video device: node, index, name, udev's capabilities, link.
        type Node = (u32, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

        fn system(devices: &[Node]) -> tempfile::TempDir {
            let root = tempfile::tempdir().unwrap();
            for folder in ["dev/v4l/by-id", "run/udev/data"] {
                fs::create_dir_all(root.path().join(folder)).unwrap();
            }
            for (node, index, name, udev, link) in devices {
                let about = root.path().join(format!("sys/class/video4linux/video{node}"));
                fs::create_dir_all(&about).unwrap();
                fs::write(about.join("index"), format!("{index}\n")).unwrap();
                fs::write(about.join("name"), format!("{name}\n")).unwrap();
                fs::write(about.join("dev"), format!("81:{node}\n")).unwrap();
                fs::write(root.path().join(format!("dev/video{node}")), "").unwrap();
                if let Some(udev) = udev {
                    let text = format!("I:1\nE:ID_V4L_VERSION=2\nE:ID_V4L_CAPABILITIES={udev}\n");
                    fs::write(root.path().join(format!("run/udev/data/c81:{node}")), text).unwrap();
                }
                if let Some(link) = link {
                    let link = root.path().join("dev/v4l/by-id").join(link);
                    std::os::unix::fs::symlink(format!("../../video{node}"), link).unwrap();
                }
            }
            root
        }

        #[test]
        fn a_webcam_is_listed_once_by_its_stable_id() {
            let root = system(&[
                (1, "1", "HD Webcam", Some(":"), Some("usb-Maker_HD_Webcam-video-index1")),
                (0, "0", "HD Webcam", Some(":capture:"), Some("usb-Maker_HD_Webcam-video-index0")),
            ]);
            let cameras = scan(root.path());
            assert_eq!(cameras.len(), 1);
            assert_eq!(cameras[0].id, "usb-Maker_HD_Webcam-video-index0");
            assert_eq!(cameras[0].name, "HD Webcam");
        }

        #[test]
        fn without_udev_the_first_node_of_each_device_counts() {
            let root = system(&[(2, "1", "Cam", None, None), (10, "0", "Cam", None, None)]);
            let cameras = scan(root.path());
            assert_eq!(cameras.iter().map(|camera| camera.id.as_str()).collect::<Vec<_>>(), ["video10"]);
        }

        #[test]
        fn a_device_that_only_shows_pictures_is_no_camera() {
            let root = system(&[(0, "0", "Encoder", Some(":video_output:"), None)]);
            assert_eq!(scan(root.path()), []);
        }

        #[test]
        fn a_camera_outside_of_our_container_is_not_listed() {
            let root = system(&[(0, "0", "Cam", None, None)]);
            fs::remove_file(root.path().join("dev/video0")).unwrap();
            assert_eq!(scan(root.path()), []);
        }

        #[test]
        fn a_system_without_video_devices_has_no_cameras() {
            assert_eq!(scan(tempfile::tempdir().unwrap().path()), []);
        }

        #[test]
        fn a_name_that_repeats_itself_is_shortened() {
            assert_eq!(without_echo("Integrated Camera: Integrated C"), "Integrated Camera");
            assert_eq!(without_echo("Studio: Left"), "Studio: Left");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Asks the system's camera service through `nokhwa`.

    use nokhwa::utils::ApiBackend;

    use super::CameraEntry;

    pub(super) fn cameras() -> Vec<CameraEntry> {
        let found = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
        let entry = |(node, camera): (u32, nokhwa::utils::CameraInfo)| CameraEntry {
            id: if camera.misc().is_empty() { camera.human_name() } else { camera.misc() },
            name: camera.human_name(),
            node,
        };
        (0..).zip(found).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_of_the_same_kind_are_told_apart() {
        let entry = |node: u32| CameraEntry { id: format!("video{node}"), name: "Webcam".into(), node };
        let mut cameras = [entry(0), entry(2), entry(4)];
        tell_apart(&mut cameras);
        assert_eq!(cameras.map(|camera| camera.name), ["Webcam", "Webcam (2)", "Webcam (3)"]);
    }
}
