//! The terminal: taken over, and given back however this ends (a key, a signal, a panic).
//!
//! Keys are read by a thread of its own, because reading them blocks; it ends with the process.

use super::board::{Input, Key};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use std::io;
use tokio::sync::mpsc;

/// What the terminal says.
#[derive(Debug)]
pub(super) enum Said {
    Input(Input),
    /// Draw again: its size changed.
    Resized,
    /// Leave it for a while: Ctrl-Z.
    Suspend,
    /// It is gone.
    Gone,
}

/// The terminal, while it is ours.
pub(super) struct Screen {
    pub(super) terminal: DefaultTerminal,
}

impl Screen {
    /// Takes it over. A panic gives it back before it says what happened.
    pub(super) fn take() -> io::Result<Screen> {
        Ok(Screen { terminal: ratatui::try_init()? })
    }

    /// Empties it, so that everything is drawn again. `Terminal::clear` would ask the terminal where its cursor is, and the
    /// thread that reads keys would take the answer.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = ratatui::try_restore();
    }
}

/// Reads keys until the terminal is gone or nobody listens.
pub(super) fn read(said: mpsc::Sender<Said>) -> io::Result<()> {
    let read = move || {
        loop {
            let word = match event::read() {
                Ok(event::Event::Key(key)) => understand(key),
                Ok(event::Event::Resize(..)) => Some(Said::Resized),
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(_) => Some(Said::Gone),
            };
            let is_last = matches!(word, Some(Said::Gone));
            if word.is_some_and(|word| said.blocking_send(word).is_err()) || is_last {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read).map(drop)
}

fn understand(event: KeyEvent) -> Option<Said> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    let key = match event.code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char('z') if control => return Some(Said::Suspend),
        // Draws everything again, as everywhere.
        KeyCode::Char('l') if control => return Some(Said::Resized),
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(character) => Key::Character(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    };
    Some(Said::Input(Input::Key(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood() {
        let check = |code, modifiers, expected: &str| {
            let said = understand(KeyEvent::new(code, modifiers));
            assert_eq!(said.map_or_else(String::new, |said| format!("{said:?}")), expected);
        };
        let none = KeyModifiers::NONE;
        check(KeyCode::Char('q'), none, "Input(Key(Character('q')))");
        check(KeyCode::Char('G'), KeyModifiers::SHIFT, "Input(Key(Character('G')))");
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, "Input(Key(Interrupt))");
        check(KeyCode::Char('z'), KeyModifiers::CONTROL, "Suspend");
        check(KeyCode::Char('l'), KeyModifiers::CONTROL, "Resized");
        check(KeyCode::Char('x'), KeyModifiers::CONTROL, "");
        check(KeyCode::BackTab, KeyModifiers::SHIFT, "Input(Key(BackTab))");
        check(KeyCode::F(5), none, "");
    }
}
