//! `ferry top`: rates and drops of a running process, full-screen.

mod rates;
mod rows;
mod view;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGTERM};

use self::rates::Reading;
use self::view::Top;
use crate::api::client::{Client, ClientError};

/// How often the process is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a key, a reading or a signal may wait for its effect.
const TURN: Duration = Duration::from_millis(100);

/// Shows it until `q`. A process that does not answer may come back; the terminal is what it was in any case.
///
/// # Errors
/// There is no terminal, or it fails.
pub fn top(socket: &Path) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        let error = "'ferry top' needs a terminal; 'ferry show ports --watch' does without";
        return Err(io::Error::other(error));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let readings = read(socket.to_owned());
    // Has a panic restore the terminal, too.
    let shown = ratatui::try_init().and_then(|mut terminal| show(&mut terminal, &readings, &stop));
    ratatui::restore();
    shown
}

/// Asks from a thread of its own, so that a slow answer holds up no key.
fn read(socket: PathBuf) -> Receiver<Result<Reading, ClientError>> {
    let (sender, readings) = bounded(1);
    thread::spawn(move || {
        let mut client = None;
        loop {
            let reading = match client.take().map_or_else(|| Client::connect(&socket), Ok) {
                Ok(mut connected) => {
                    let reading = Reading::take(&mut connected);
                    client = reading.is_ok().then_some(connected);
                    reading
                }
                Err(error) => Err(error),
            };
            if sender.send(reading).is_err() {
                return;
            }
            thread::sleep(PERIOD);
        }
    });
    readings
}

fn show(
    terminal: &mut DefaultTerminal,
    readings: &Receiver<Result<Reading, ClientError>>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut top = Top::default();
    let mut is_old = true;
    while !stop.load(Ordering::Relaxed) {
        if let Ok(reading) = readings.try_recv() {
            top.take(reading);
            is_old = true;
        }
        if is_old {
            terminal.draw(|frame| top.draw(frame))?;
        }
        is_old = event::poll(TURN)?;
        if is_old
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && !press(&mut top, key)
        {
            break;
        }
    }
    Ok(())
}

/// What a key does; whether to go on.
fn press(top: &mut Top, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char(digit @ '1'..='5') => top.choose(digit as usize - '1' as usize),
        KeyCode::Tab => top.turn(1),
        KeyCode::BackTab => top.turn(-1),
        KeyCode::Left | KeyCode::Char('<') => top.sort_by(-1),
        KeyCode::Right | KeyCode::Char('>') => top.sort_by(1),
        KeyCode::Char('r') => top.reverse(),
        KeyCode::Up => top.scroll(-1),
        KeyCode::Down => top.scroll(1),
        KeyCode::PageUp => top.scroll(-10),
        KeyCode::PageDown => top.scroll(10),
        KeyCode::Char(' ') => top.pause(),
        _ => {}
    }
    true
}
