//! An X server of the test's own, windows on it, and what is seen there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, MonitorInfo};
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux,
    CreateWindowAux, EventMask, ImageFormat, PropMode, Rectangle, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// Red, green, blue.
pub type Pixel = [u8; 3];

/// What Xvfb is asked for, mostly.
pub const SCREEN: &[&str] = &["-screen", "0", "1920x1080x24"];

/// An Xvfb.
pub struct XServer {
    child: Child,
    pub display: String,
}

impl XServer {
    /// `None`: it is not installed.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let mut child = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut number).ok()?;
        Some(Self { child, display: format!(":{}", number.trim()) })
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A part of what is seen on the screen.
pub struct Seen {
    corner: (i32, i32),
    width: usize,
    pixels: Vec<Pixel>,
}

impl Seen {
    /// Where pixels of a kind are: least and greatest of both coordinates.
    pub fn bounds(&self, wanted: impl Fn(Pixel) -> bool) -> Option<[i32; 4]> {
        let places = self.pixels.iter().enumerate().filter(|(_, pixel)| wanted(**pixel));
        let place = |(index, _): (usize, &Pixel)| {
            ((index % self.width) as i32 + self.corner.0, (index / self.width) as i32 + self.corner.1)
        };
        places
            .map(place)
            .map(|(x, y)| [x, x, y, y])
            .reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].max(b[3])])
    }
}

/// A client of the server.
pub struct Desktop {
    pub conn: RustConnection,
    pub root: Window,
}

impl Desktop {
    /// Of the server in the environment; everything is of one colour.
    pub fn new(colour: u32) -> Self {
        let (conn, screen) = RustConnection::connect(None).expect("the server is there");
        let root = conn.setup().roots[screen].root;
        let paint = ChangeWindowAttributesAux::new().background_pixel(colour);
        conn.change_window_attributes(root, &paint).unwrap();
        conn.clear_area(false, root, 0, 0, 0, 0).unwrap();
        let desktop = Self { conn, root };
        desktop.warp(1900, 1070);
        desktop
    }

    /// Waits until the server has done everything.
    pub fn sync(&self) {
        self.conn.sync().unwrap();
    }

    /// Puts the pointer somewhere.
    pub fn warp(&self, x: i16, y: i16) {
        self.conn.warp_pointer(x11rb::NONE, self.root, 0, 0, 0, 0, x, y).unwrap();
        self.sync();
    }

    /// A window of one colour that hears of clicks.
    pub fn window(&self, title: &str, colour: u32, (x, y, width, height): (i16, i16, u16, u16)) -> Window {
        let window = self.conn.generate_id().unwrap();
        let look = CreateWindowAux::new().background_pixel(colour).event_mask(EventMask::BUTTON_PRESS);
        let kind = WindowClass::INPUT_OUTPUT;
        self.conn.create_window(0, window, self.root, x, y, width, height, 0, kind, 0, &look).unwrap();
        let (name, text) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        self.conn.change_property8(PropMode::REPLACE, window, name, text, title.as_bytes()).unwrap();
        self.conn.map_window(window).unwrap();
        self.sync();
        window
    }

    /// A filled rectangle.
    pub fn paint(&self, window: Window, colour: u32, (x, y, width, height): (i16, i16, u16, u16)) {
        let gc = self.conn.generate_id().unwrap();
        self.conn.create_gc(gc, window, &CreateGCAux::new().foreground(colour)).unwrap();
        self.conn.poly_fill_rectangle(window, gc, &[Rectangle { x, y, width, height }]).unwrap();
        self.conn.free_gc(gc).unwrap();
        self.sync();
    }

    pub fn configure(&self, window: Window, how: &ConfigureWindowAux) {
        self.conn.configure_window(window, how).unwrap();
        self.sync();
    }

    pub fn close(&self, window: Window) {
        self.conn.destroy_window(window).unwrap();
        self.sync();
    }

    /// Makes a monitor of a part of the screen. The left one takes the place of the server's own.
    pub fn monitor(&self, name: &str, x: i16, width: u16) {
        let own = self.conn.randr_get_monitors(self.root, true).unwrap().reply().unwrap().monitors;
        let outputs = own.into_iter().next().filter(|_| x == 0).map_or(Vec::new(), |own| own.outputs);
        let name = self.conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
        let info = MonitorInfo {
            name,
            primary: x == 0,
            automatic: false,
            x,
            y: 0,
            width,
            height: 1080,
            width_in_millimeters: 300,
            height_in_millimeters: 200,
            outputs,
        };
        self.conn.randr_set_monitor(self.root, info).unwrap().check().unwrap();
    }

    pub fn unplug(&self, name: &str) {
        let name = self.conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
        self.conn.randr_delete_monitor(self.root, name).unwrap().check().unwrap();
    }

    /// What is seen in a part of the screen.
    pub fn look(&self, (x, y, width, height): (i16, i16, u16, u16)) -> Seen {
        let whole = ImageFormat::Z_PIXMAP;
        let image = self.conn.get_image(whole, self.root, x, y, width, height, !0).unwrap().reply().unwrap();
        let pixels = image.data.chunks_exact(4).map(|bgr| [bgr[2], bgr[1], bgr[0]]);
        Seen { corner: (x.into(), y.into()), width: width.into(), pixels: pixels.collect() }
    }
}
