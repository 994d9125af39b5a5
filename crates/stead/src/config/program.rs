//! Turns what was written as a command into a program that can be spawned, or says why it cannot.
//!
//! | written | runs |
//! |---|---|
//! | `npm start`, `yarn dev`, a directory | the package's script, see `package.rs` |
//! | `server.js`, `app.py` | its interpreter, see `interpreter.rs` |
//! | `./bin/www`, `gunicorn api:app` | the program itself |
//! | anything, with `shell` | `sh -c` |
//!
//! Everything a person can get wrong here (a missing file, a missing interpreter, a slip of the finger) is found before
//! anything is started.

use super::interpreter::{self, Interpreter, Surroundings};
use super::package::{self, Package, ScriptLine, Wish};
use super::program_error::ProgramError;
use super::search::{self, Found, in_path, look_at, nearest_file, nearest_in_path};
use super::settings::Program;
use super::shell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const SHELL: &str = "/bin/sh";

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The command: one word may hold several, as in a configuration file.
    pub(super) words: &'a [OsString],
    /// More arguments, never looked into.
    pub(super) arguments: &'a [OsString],
    /// What runs the script; nothing: found out by its extension. "none": the script itself.
    pub(super) interpreter: Option<&'a str>,
    /// In front of the script.
    pub(super) interpreter_arguments: &'a [OsString],
    /// Run it in a shell.
    pub(super) shell: bool,
    /// Where to run it: absolute.
    pub(super) directory: &'a Path,
}

/// What is to be spawned.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) program: Program,
    /// Differs from the request's when a package says so.
    pub(super) directory: PathBuf,
    /// A name for the app, if it has none.
    pub(super) name: String,
}

/// Finds out what a command runs; adds to the environment what this needs.
pub(super) fn resolve(
    request: Request<'_>,
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Resolved, ProgramError> {
    check_directory(request.directory)?;
    let words = split(&request)?;
    if words.is_empty() {
        return Err(ProgramError::Empty);
    }
    let mut resolved = if request.shell {
        no_interpreter(&request, "a shell line")?;
        in_shell(&request, &words)
    } else if let Some(name) = request.interpreter {
        interpreted(name, &words, &request, environment)?
    } else if let Some((package, wish)) = package_of(&words, request.directory)? {
        no_interpreter(&request, "a script of a package")?;
        script(&package, &wish.script, &[&wish.arguments[..], request.arguments].concat(), environment)?
    } else {
        find(&words, &request, environment)?
    };
    let display: Vec<_> = words.iter().chain(request.arguments).map(|word| word.to_string_lossy()).collect();
    resolved.program.display = display.join(" ");
    Ok(resolved)
}

/// Finds out what a command on the command line runs, in this directory; adds to the environment what this needs.
pub(crate) fn resolve_command(
    words: &[OsString],
    directory: &Path,
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Program, ProgramError> {
    let request = Request {
        words,
        arguments: &[],
        interpreter: None,
        interpreter_arguments: &[],
        shell: false,
        directory,
    };
    resolve(request, environment).map(|resolved| resolved.program)
}

/// What has no interpreter of its own can be given no arguments for it.
fn no_interpreter(request: &Request<'_>, what: &'static str) -> Result<(), ProgramError> {
    let asked = request.interpreter.is_some() || !request.interpreter_arguments.is_empty();
    if asked { Err(ProgramError::NoInterpreter { what }) } else { Ok(()) }
}

/// A script with the interpreter that the configuration names.
fn interpreted(
    name: &str,
    words: &[OsString],
    request: &Request<'_>,
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Resolved, ProgramError> {
    let path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let around = Surroundings { directory: request.directory, path: &path };
    let at = tidy(&request.directory.join(&words[0]));
    let mut program = if name == "none" {
        if !request.interpreter_arguments.is_empty() {
            return Err(ProgramError::NoInterpreter { what: "a program that runs by itself" });
        }
        itself(words, at, around)?
    } else {
        let interpreter = interpreter::named(name, around)?;
        if !at.exists() {
            return Err(file_not_found(&words[0], &at));
        }
        let is_node = package::runs_node(&interpreter);
        let arguments = [&[interpreter.into_os_string()], request.interpreter_arguments, words].concat();
        Program { arguments, display: String::new(), is_node, shell: false }
    };
    prepare(&program, environment);
    program.arguments.extend(request.arguments.iter().cloned());
    Ok(Resolved { program, directory: request.directory.to_owned(), name: name_of(words) })
}

/// A file that runs by itself, here or in `PATH`.
fn itself(words: &[OsString], at: PathBuf, around: Surroundings<'_>) -> Result<Program, ProgramError> {
    match look_at(at) {
        Found::Program(program) => {
            let is_node = package::runs_node(&program);
            let arguments = [&[program.into_os_string()], &words[1..]].concat();
            Ok(Program { arguments, display: String::new(), is_node, shell: false })
        }
        Found::NotExecutable(path) if path.is_file() => Err(ProgramError::NotExecutable { path }),
        Found::NotExecutable(_) | Found::Nothing => command(words, around),
    }
}

/// The package and what is wanted of it, if the command is a package manager's.
fn package_of(words: &[OsString], directory: &Path) -> Result<Option<(Package, Wish)>, ProgramError> {
    let Some(wish) = package::wish(words) else { return Ok(None) };
    let package = Package::above(directory)?;
    Ok((wish.certain || package.has_script(&wish.script)).then_some((package, wish)))
}

/// A directory, a script, or a program.
fn find(
    words: &[OsString],
    request: &Request<'_>,
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Resolved, ProgramError> {
    let path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let around = Surroundings { directory: request.directory, path: &path };
    let first = &words[0];
    let at = tidy(&request.directory.join(first));
    let in_path = is_plain_program(first, around);
    if words.len() == 1 && at.is_dir() && !in_path {
        no_interpreter(request, "a directory")?;
        return directory(&at, request.arguments, environment);
    }
    let more = request.interpreter_arguments;
    let mut program = match interpreter::by_extension(Path::new(first)) {
        Some(language) if at.is_file() => {
            let Interpreter { mut arguments, is_node } =
                interpreter::find(language, Path::new(first), around)?;
            arguments.extend(more.iter().chain(words).cloned());
            Program { arguments, display: String::new(), is_node, shell: false }
        }
        Some(_) if !in_path => return Err(file_not_found(first, &at)),
        _ => command(words, around)?,
    };
    if !more.is_empty() && interpreter::by_extension(Path::new(first)).is_none() {
        if !is_interpreter(&program) {
            return Err(ProgramError::NoInterpreter { what: "a program that runs by itself" });
        }
        program.arguments.splice(1..1, more.iter().cloned());
    }
    prepare(&program, environment);
    program.arguments.extend(request.arguments.iter().cloned());
    Ok(Resolved { program, directory: request.directory.to_owned(), name: name_of(words) })
}

/// `node server.js`: what stands first runs what comes after.
fn is_interpreter(program: &Program) -> bool {
    let name = Path::new(&program.arguments[0]).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    ["node", "nodejs", "bun", "deno", "python", "ruby", "php", "perl", "sh", "bash"].contains(&name)
}

/// A directory that is named to run in.
fn check_directory(path: &Path) -> Result<(), ProgramError> {
    if path.is_dir() {
        return Ok(());
    }
    let nearest = nearest_file(path).filter(|name| path.with_file_name(name).is_dir());
    Err(ProgramError::Directory { path: path.to_owned(), exists: path.exists(), nearest })
}

/// Without the `.` that joining leaves in the middle.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// One word with blanks in it is a command line, unless a file has this name.
fn split(request: &Request<'_>) -> Result<Vec<OsString>, ProgramError> {
    match request.words {
        [line] if !request.shell && (line.is_empty() || !request.directory.join(line).exists()) => {
            shell::split(line)
                .ok_or_else(|| ProgramError::Quote { command: line.to_string_lossy().into_owned() })
        }
        words => Ok(words.to_vec()),
    }
}

fn in_shell(request: &Request<'_>, words: &[OsString]) -> Resolved {
    let mut line = match words {
        [line] => line.clone(),
        words => words.join(OsStr::new(" ")),
    };
    if !request.arguments.is_empty() {
        line.push(" ");
        line.push(shell::join(request.arguments));
    }
    let is_node = shell::simple_line(&line.to_string_lossy()).is_some_and(|line| line.program == "node");
    let name = shell::split(&line).map_or_else(|| name_of(words), |words| name_of(&words));
    Resolved { program: in_sh(line, is_node), directory: request.directory.to_owned(), name }
}

fn in_sh(line: OsString, is_node: bool) -> Program {
    Program { arguments: vec![SHELL.into(), "-c".into(), line], display: String::new(), is_node, shell: true }
}

/// A script of a package.
fn script(
    package: &Package,
    name: &str,
    arguments: &[OsString],
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Resolved, ProgramError> {
    let path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let ScriptLine { line, is_node, environment: more } = package.line(name, arguments, &path)?;
    environment.extend(more);
    Ok(Resolved {
        program: in_sh(line, is_node),
        directory: package.directory().to_owned(),
        name: app_name(&package.name()),
    })
}

/// A directory stands for its package: the start script, or else its main file.
fn directory(
    path: &Path,
    arguments: &[OsString],
    environment: &mut BTreeMap<OsString, OsString>,
) -> Result<Resolved, ProgramError> {
    if !path.join("package.json").is_file() {
        return Err(ProgramError::NotAPackage { path: path.to_owned() });
    }
    // `.` and `..` in the path would become part of what the program sees as its directory.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let package = Package::above(&path)?;
    if package.has_script("start") {
        return script(&package, "start", arguments, environment);
    }
    let main = OsString::from(package.main().ok_or_else(|| package.no_start())?);
    let request = Request {
        words: &[main],
        arguments,
        interpreter: None,
        interpreter_arguments: &[],
        shell: false,
        directory: &path,
    };
    let resolved = resolve(request, environment)?;
    Ok(Resolved { name: app_name(&package.name()), ..resolved })
}

/// A name without a slash that is a program in `PATH`.
fn is_plain_program(word: &OsStr, around: Surroundings<'_>) -> bool {
    let is_plain = Path::new(word).components().count() == 1 && word != "." && word != "..";
    is_plain && matches!(in_path(word, around.path, around.directory), Found::Program(_))
}

fn command(words: &[OsString], around: Surroundings<'_>) -> Result<Program, ProgramError> {
    let first = &words[0];
    let is_path = first.as_encoded_bytes().contains(&b'/');
    let at = tidy(&around.directory.join(first));
    let found = if is_path { look_at(at.clone()) } else { in_path(first, around.path, around.directory) };
    let program = match found {
        Found::Program(program) => program,
        Found::NotExecutable(path) if path.is_dir() => return Err(ProgramError::NotAPackage { path }),
        Found::NotExecutable(path) => return Err(ProgramError::NotExecutable { path }),
        Found::Nothing if is_path => return Err(file_not_found(first, &at)),
        Found::Nothing => return Err(not_found(first, &at, around.path)),
    };
    let is_node = package::runs_node(&program);
    if is_node {
        check_node_script(words, around.directory)?;
    }
    let arguments = std::iter::once(program.into_os_string()).chain(words[1..].iter().cloned()).collect();
    Ok(Program { arguments, display: String::new(), is_node, shell: false })
}

/// `node serevr.js` would be found out by Node.js itself, but only by a stack trace of every worker.
fn check_node_script(words: &[OsString], directory: &Path) -> Result<(), ProgramError> {
    let Some(script) = words.get(1).filter(|_| words[0] == "node") else { return Ok(()) };
    let at = directory.join(script);
    match interpreter::by_extension(Path::new(script)) {
        Some(_) if !at.exists() => Err(file_not_found(script, &at)),
        _ => Ok(()),
    }
}

fn file_not_found(written: &OsStr, at: &Path) -> ProgramError {
    let path = Path::new(written);
    let nearest = nearest_file(at).map(|name| path.with_file_name(name).display().to_string());
    ProgramError::FileNotFound { path: path.to_owned(), nearest }
}

fn not_found(name: &OsStr, at: &Path, path: &OsStr) -> ProgramError {
    // A file here that only needs `./` in front, one that needs its extension, or a program with nearly this name.
    let here = at.is_file().then(|| format!("./{}", name.display()));
    let nearest = here.or_else(|| nearest_in_path(name, path)).or_else(|| nearest_file(at));
    ProgramError::NotFound { name: name.to_string_lossy().into_owned(), nearest }
}

/// What a runtime needs to work well in the background.
fn prepare(program: &Program, environment: &mut BTreeMap<OsString, OsString>) {
    let path = Path::new(&program.arguments[0]);
    let is_python = |name: &str| name.starts_with("python");
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if is_python(name) || search::shebang(path).as_deref().is_some_and(is_python) {
        // Python keeps what it prints to a pipe until 8 KiB are full.
        environment.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
    }
}

/// The script's name without its extension; behind an interpreter the script's, not the interpreter's.
fn name_of(words: &[OsString]) -> String {
    let is_script = |word: &&OsString| interpreter::by_extension(Path::new(word)).is_some();
    let word = words.iter().find(is_script).or(words.first());
    let stem = word.and_then(|word| Path::new(word).file_stem()).unwrap_or_default();
    app_name(&stem.to_string_lossy())
}

/// A text made fit for the name of an app.
fn app_name(text: &str) -> String {
    let fit =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let name: String = text.chars().map(fit).collect();
    match name.trim_matches(['-', '.']) {
        "" => "app".to_owned(),
        name => name.to_owned(),
    }
}
