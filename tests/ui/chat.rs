//! The chat and its files.

use super::*;

/// A call whose chat is open.
fn chatting(size: Vec2) -> Window {
    let mut window = open(view("chat").expect("the name is known"), size, Theme::Dark);
    window.run_ok();
    window.key_press(Key::C);
    window.run_ok();
    window
}

#[test]
fn the_chat_opens_by_its_key_and_says_what_was_written_and_sends_what_is_typed() {
    let mut window = chatting(vec2(1120.0, 720.0));
    assert!(asked(&mut window).contains(&Effect::Send(Command::Chat(ChatCommand::Read))));
    window.get_by_label("Grace: Tell me when you have it.");
    window.get_by_label("Hands up: Grace");
    window.get_by_label("Write a message").type_text("hello");
    let effects = asked(&mut window);
    assert!(effects.contains(&Effect::Send(Command::Chat(ChatCommand::Typing))), "{effects:?}");
    window.key_press(Key::Enter);
    let effects = asked(&mut window);
    let said = Effect::Send(Command::Chat(ChatCommand::Say("hello".into())));
    assert!(effects.contains(&said), "{effects:?}");
    assert_eq!(window.state().model.chat_text, "");
    let effects = click(&mut window, "Raise your hand");
    assert!(effects.contains(&Effect::Send(Command::Chat(ChatCommand::Raise(Switch::On)))), "{effects:?}");
}

#[test]
fn a_link_opens_only_after_it_was_shown_whole() {
    let mut window = chatting(vec2(1120.0, 720.0));
    let link = "https://example.org/nanosecond?wire=30cm";
    // It may have scrolled out of sight.
    window.get_by_label(link).click_accesskit();
    let effects = asked(&mut window);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::OpenLink(_))), "{effects:?}");
    window.get_by_label("Open a page of example.org?");
    assert!(click(&mut window, "Open").contains(&Effect::OpenLink(link.into())));
    assert_eq!(window.state().model.asks_link, None);
}

#[test]
fn files_are_taken_declined_and_cancelled_in_the_chat() {
    let mut window = chatting(vec2(1120.0, 720.0));
    let is = |command: FileCommand| Effect::Send(Command::File(command));
    assert!(click(&mut window, "Save").contains(&is(FileCommand::Accept(FileId(1)))));
    assert!(click(&mut window, "Decline").contains(&is(FileCommand::Decline(FileId(1)))));
    assert!(click(&mut window, "Cancel").contains(&is(FileCommand::Cancel(FileId(2)))));
    // Above what was said since.
    window.get_by_label("Show in folder").click_accesskit();
    assert!(asked(&mut window).contains(&Effect::ShowInFolder("/tmp/report.pdf".into())));
    assert!(click(&mut window, "Send a file").contains(&Effect::ChooseFile));
}

#[test]
fn a_file_stands_where_it_ended_and_below_all_while_it_goes_on() {
    let window = chatting(vec2(1120.0, 1200.0));
    let top = |name: &str| window.get_by_label(name).rect().top();
    let mine = "Got it, thank you! I will read it to the end\nand write down what I do not understand.";
    let order = ["Tell me when you have it.", "report.pdf", mine, "moth.jpg", "A-0 system.tar.gz"].map(top);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_long_message_makes_its_field_higher_and_stays_in_the_chat() {
    let mut window = chatting(vec2(1120.0, 720.0));
    let below = window.get_by_label("Leave call").rect().top();
    let one_line = window.get_by_label("Write a message").rect().height();
    for words in [20, 400] {
        window.state_mut().model.chat_text = "word ".repeat(words);
        window.run_ok();
        let (send, faces) = (window.get_by_label("Send").rect(), window.get_by_label("Applause").rect());
        assert!(send.bottom() < below && faces.bottom() <= send.top(), "{words}: {faces} {send}");
        let field = window.get_by_label("Write a message").rect();
        assert!(field.height() > one_line, "{words}: {field}");
        assert!(words > 20 || (field.bottom() < below && faces.bottom() <= field.top()), "{field}");
    }
}

#[test]
fn in_a_small_window_the_chat_covers_the_pictures_and_leaves_the_buttons() {
    let mut window = chatting(vec2(640.0, 480.0));
    let inside = Rect::from_min_size(pos2(8.0, 8.0), vec2(640.0, 480.0)).expand(0.5);
    for name in ["Write a message", "Send", "Close the chat", "Leave call", "Applause"] {
        let place = window.get_by_label(name).rect();
        assert!(inside.contains_rect(place), "{name} leaves the window: {place}");
    }
    click(&mut window, "Close the chat");
    assert!(!window.state().model.chat_open);
    window.get_by_label("Chat, 4 unread");
}

#[test]
fn a_text_that_is_too_long_stays_in_the_field_and_why_is_said() {
    let mut window = chatting(vec2(1120.0, 720.0));
    // Two bytes each.
    let text = "\u{44f}".repeat(4_100);
    window.state_mut().model.chat_text = text.clone();
    let effects = click(&mut window, "Send");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Chat(ChatCommand::Say(_))))));
    assert_eq!(window.state().model.chat_text, text);
    let words = window.get_by_label_contains("too long to be sent: 8200 bytes").rect();
    let (faces, field) = (window.get_by_label("Applause").rect(), window.get_by_label("Send").rect());
    assert!(faces.bottom() <= words.top() && words.bottom() <= field.top(), "{faces} {words} {field}");
    assert!(field.bottom() < window.get_by_label("Leave call").rect().top());
}

#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("nobody reads it here".into())
    }
}

#[test]
fn several_files_that_are_dropped_are_sent_at_once_and_open_the_chat() {
    let mut window = window(in_call());
    let paths = ["/tmp/a", "/tmp/b"].map(std::path::PathBuf::from);
    window.input_mut().dropped_files =
        paths.iter().map(|path| Arc::new(Dropped(path.clone())) as egui::DroppedFileHandle).collect();
    assert_eq!(asked(&mut window), sends(Command::File(FileCommand::Send(paths.to_vec()))));
    assert!(window.state().model.chat_open);
}

#[test]
fn of_a_long_chat_only_what_is_near_is_drawn() {
    let mut long = view("chat").unwrap();
    let entry = long.chat.entries[0].clone();
    let entries = (1..=1_000).map(|id| sightline::chat::Entry { id, ..entry.clone() });
    long.chat.entries = Arc::new(entries.collect());
    let mut window = open(long, vec2(1120.0, 720.0), Theme::Dark);
    window.run_ok();
    window.key_press(Key::C);
    window.run_ok();
    let drawn = window.query_all_by_label_contains("Grace: The compiler is here").count();
    assert!((1..100).contains(&drawn), "{drawn}");
}
