//! What PipeWire is asked for, in its own encoding: pictures of four kinds, in memory that both sides
//! see, and beside each which part of it is meant, what changed, and the cursor. Pure.

use pipewire::spa;
use spa::param::ParamType;
use spa::param::format::{FormatProperties, MediaSubtype, MediaType};
use spa::param::video::VideoFormat;
use spa::pod::serialize::PodSerializer;
use spa::pod::{ChoiceValue, Object, Property, PropertyFlags, Value};
use spa::utils::{Choice, ChoiceEnum, ChoiceFlags, Fraction, Id, Rectangle, SpaTypes};

/// What we can take: 32 bits a pixel in four orders, any size, at most so many pictures a second.
pub fn formats(fps: f64) -> Vec<u8> {
    let fps = fps.clamp(1.0, 240.0) as u32;
    let size = |width, height| Rectangle { width, height };
    let rate = |num| Fraction { num, denom: 1 };
    encoded(spa::pod::object!(
        SpaTypes::ObjectParamFormat,
        ParamType::EnumFormat,
        spa::pod::property!(FormatProperties::MediaType, Id, MediaType::Video),
        spa::pod::property!(FormatProperties::MediaSubtype, Id, MediaSubtype::Raw),
        spa::pod::property!(
            FormatProperties::VideoFormat,
            Choice,
            Enum,
            Id,
            VideoFormat::BGRx,
            VideoFormat::BGRx,
            VideoFormat::BGRA,
            VideoFormat::RGBx,
            VideoFormat::RGBA
        ),
        spa::pod::property!(
            FormatProperties::VideoSize,
            Choice,
            Range,
            Rectangle,
            size(1920, 1080),
            size(1, 1),
            size(16_384, 16_384)
        ),
        spa::pod::property!(
            FormatProperties::VideoFramerate,
            Choice,
            Range,
            Fraction,
            rate(fps),
            rate(0),
            rate(fps)
        ),
        spa::pod::property!(
            FormatProperties::VideoMaxFramerate,
            Choice,
            Range,
            Fraction,
            rate(fps),
            rate(1),
            rate(fps)
        ),
    ))
}

/// Memory that both sides see. A desktop that may choose gives graphics memory, which only its own
/// kind of graphics card can read.
pub fn memory() -> Vec<u8> {
    let kinds = (1 << spa::sys::SPA_DATA_MemPtr) | (1 << spa::sys::SPA_DATA_MemFd);
    let kinds = ChoiceEnum::Flags { default: kinds, flags: Vec::new() };
    let kinds = Value::Choice(ChoiceValue::Int(Choice(ChoiceFlags::empty(), kinds)));
    encoded(Object {
        type_: SpaTypes::ObjectParamBuffers.as_raw(),
        id: ParamType::Buffers.as_raw(),
        properties: vec![property(spa::sys::SPA_PARAM_BUFFERS_dataType, kinds)],
    })
}

/// The part of each picture that is meant: a window comes in the upper left corner of a picture as
/// large as its monitor.
pub fn crop() -> Vec<u8> {
    addition(spa::sys::SPA_META_VideoCrop, Value::Int(size_of::<spa::sys::spa_meta_region>() as i32))
}

/// What changed, as up to so many rectangles.
pub fn damage() -> Vec<u8> {
    let size = |rectangles: usize| (rectangles * size_of::<spa::sys::spa_meta_region>()) as i32;
    addition(spa::sys::SPA_META_VideoDamage, range(size(16), size(1), size(16)))
}

/// The cursor, up to so large; desktops draw it larger for those who see badly.
pub fn cursor() -> Vec<u8> {
    let head = size_of::<spa::sys::spa_meta_cursor>() + size_of::<spa::sys::spa_meta_bitmap>();
    let size = |side: usize| (head + side * side * 4) as i32;
    addition(spa::sys::SPA_META_Cursor, range(size(256), size(1), size(1_024)))
}

fn addition(kind: u32, size: Value) -> Vec<u8> {
    encoded(Object {
        type_: SpaTypes::ObjectParamMeta.as_raw(),
        id: ParamType::Meta.as_raw(),
        properties: vec![
            property(spa::sys::SPA_PARAM_META_type, Value::Id(Id(kind))),
            property(spa::sys::SPA_PARAM_META_size, size),
        ],
    })
}

fn range(default: i32, min: i32, max: i32) -> Value {
    Value::Choice(ChoiceValue::Int(Choice(ChoiceFlags::empty(), ChoiceEnum::Range { default, min, max })))
}

fn property(key: u32, value: Value) -> Property {
    Property { key, flags: PropertyFlags::empty(), value }
}

fn encoded(object: Object) -> Vec<u8> {
    let written = PodSerializer::serialize(std::io::Cursor::new(Vec::new()), &Value::Object(object));
    written.map(|(cursor, _)| cursor.into_inner()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use spa::pod::Pod;

    use super::*;

    #[test]
    fn everything_asked_for_is_well_formed() {
        for asked in [formats(15.0), formats(f64::NAN), memory(), crop(), damage(), cursor()] {
            assert!(Pod::from_bytes(&asked).is_some_and(Pod::is_object), "{asked:?}");
        }
    }
}
