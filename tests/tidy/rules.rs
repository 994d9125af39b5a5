//! The rules of the house as pure functions: a text in, complaints out. `tidy.rs` decides which files each rule is for.
//!
//! They read text, not syntax trees: rustfmt has put everything where it belongs, so an item ends at the first closing brace that is
//! indented as the line it began on. Words that a rule forbids are written in two halves here, so that this file passes its own rules.

/// What is wrong, where, and what to do about it.
#[derive(Debug, PartialEq)]
pub(crate) struct Complaint {
    pub(crate) line: usize,
    pub(crate) text: String,
}

pub(crate) const FILE_LINES_MAX: usize = 600;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;

fn complain(index: usize, text: impl Into<String>) -> Complaint {
    Complaint { line: index + 1, text: text.into() }
}

pub(crate) fn module_doc(source: &str) -> Vec<Complaint> {
    let documented = source.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 10);
    if documented {
        return Vec::new();
    }
    vec![complain(0, "begin the file with `//! ` and a sentence that says what it is for")]
}

/// Every fixture and example says in a comment what it does, so that a test can be read without opening it.
pub(crate) fn opening_comment(source: &str) -> Vec<Complaint> {
    let first = source.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
    if ["// ", "# ", "/* ", "\"\"\""].iter().any(|opening| first.starts_with(opening)) {
        return Vec::new();
    }
    vec![complain(0, "begin the file with a comment that says what the program does and what it obeys")]
}

pub(crate) fn file_length(source: &str) -> Vec<Complaint> {
    let lines = source.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![complain(
        FILE_LINES_MAX,
        format!("{lines} lines: over {FILE_LINES_MAX} is two files; split it by what the halves promise"),
    )]
}

pub(crate) fn function_length(source: &str) -> Vec<Complaint> {
    let lines: Vec<&str> = source.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| begins_function(line));
    let too_long = starts.filter_map(|(start, line)| {
        let length = code_lines(&lines[start..=end_of_item(&lines, start)?]);
        let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
        (length > FUNCTION_LINES_MAX).then(|| {
            let text = format!("`{name}` has {length} lines of code, over {FUNCTION_LINES_MAX}: split the decision from the action");
            complain(start, text)
        })
    });
    too_long.collect()
}

fn begins_function(line: &str) -> bool {
    const MODIFIERS: [&str; 5] = ["pub", "const", "async", "unsafe", "extern"];
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        MODIFIERS.iter().any(|modifier| word == modifier) || word.starts_with("pub(") || word.starts_with('"')
    });
    words.next() == Some("fn") && !line.ends_with(['}', ';'])
}

/// The index of the line that closes the item begun at `start`; nothing if it is a declaration without a body.
fn end_of_item(lines: &[&str], start: usize) -> Option<usize> {
    let indent = indent_of(lines[start]);
    let same_depth = |line: &str| !line.trim().is_empty() && indent_of(line) == indent;
    let (offset, line) = lines[start + 1..]
        .iter()
        .enumerate()
        .find(|(_, line)| same_depth(line) && (line.trim_start().starts_with('}') || line.ends_with(';')))?;
    line.trim_start().starts_with('}').then_some(start + 1 + offset)
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn code_lines(lines: &[&str]) -> usize {
    lines.iter().filter(|line| !line.trim().is_empty() && !is_comment(line)).count()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Attributes and macros that hide a test or a hole.
pub(crate) fn no_holes(source: &str) -> Vec<Complaint> {
    const HOLES: [(&str, &str); 4] = [
        (concat!("#[", "ignore"), "a test that does not run proves nothing: repair it or delete it"),
        (concat!("#[", "should_panic"), "assert on the error value instead"),
        (concat!("todo", "!("), "finish it before it is committed"),
        (concat!("unimplemented", "!("), "finish it before it is committed"),
    ];
    find_in_code(source, &HOLES)
}

/// For all files but the one that prints, and tests.
pub(crate) fn no_printing(source: &str) -> Vec<Complaint> {
    const ADVICE: &str =
        "only crates/stead/src/cli/output.rs prints: return the text or hand it to the output";
    let words = [
        concat!("print", "ln!("),
        concat!("eprint", "ln!("),
        concat!("print", "!("),
        concat!("eprint", "!("),
    ];
    find_in_code(before_tests(source), &words.map(|word| (word, ADVICE)))
}

/// The text of a source file without its test module, which stands last.
fn before_tests(source: &str) -> &str {
    source.find("\n#[cfg(test)]\nmod ").map_or(source, |end| &source[..end])
}

fn find_in_code(source: &str, words: &[(&str, &str)]) -> Vec<Complaint> {
    let code = source.lines().enumerate().filter(|(_, line)| !is_comment(line));
    let found = code.filter_map(|(index, line)| {
        let (word, advice) = words.iter().find(|(word, _)| contains_word(line, word))?;
        Some(complain(index, format!("`{word}`: {advice}")))
    });
    found.collect()
}

/// Whether `word` stands in the line and is not the end of a longer word.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Outside of stead-process: no unsafe at all, but in tests with a reason.
pub(crate) fn no_unsafe(source: &str, is_test: bool) -> Vec<Complaint> {
    let lines: Vec<&str> = source.lines().collect();
    let reasoned = |index: usize| is_test && has_safety_comment(&lines, index);
    let advice = "unsafe lives in crates/process: put the call there behind a safe function";
    unsafe_lines(&lines).filter(|&index| !reasoned(index)).map(|index| complain(index, advice)).collect()
}

/// In stead-process: each unsafe with the reason why it is sound.
pub(crate) fn unsafe_has_reason(source: &str) -> Vec<Complaint> {
    let lines: Vec<&str> = source.lines().collect();
    let advice =
        "write `// SAFETY:` above it and say why it is sound (for an unsafe fn: `# Safety` in its doc)";
    unsafe_lines(&lines).filter(|&i| !has_safety_comment(&lines, i)).map(|i| complain(i, advice)).collect()
}

fn unsafe_lines<'a>(lines: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    const FORMS: [&str; 5] = [
        concat!("unsafe", " {"),
        concat!("unsafe", " fn "),
        concat!("unsafe", " impl "),
        concat!("unsafe", " extern "),
        concat!("unsafe", "("),
    ];
    let is_unsafe = |line: &str| !is_comment(line) && FORMS.iter().any(|form| contains_word(line, form));
    lines.iter().enumerate().filter(move |(_, line)| is_unsafe(line)).map(|(index, _)| index)
}

/// Looks upwards: the comment may stand above the statement that holds the unsafe block, but nothing that ends may stand between.
fn has_safety_comment(lines: &[&str], index: usize) -> bool {
    let above = lines[..index].iter().rev().take(20).map(|line| line.trim());
    let mut statement =
        above.take_while(|line| !line.is_empty() && (line.starts_with("//") || !line.ends_with([';', '}'])));
    statement.any(|line| line.starts_with("// SAFETY:") || line.starts_with("/// # Safety"))
}

/// Paths of one machine, and papers that readers do not have.
pub(crate) fn no_foreign_places(source: &str) -> Vec<Complaint> {
    const PLACES: [&str; 4] =
        [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    const HOSTS: [&str; 9] = [
        concat!("registry.", "npmjs.org"),
        concat!("registry.", "yarnpkg.com"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("pypi.", "org"),
        concat!("files.", "pythonhosted.org"),
        concat!("ruby", "gems.org"),
        concat!("proxy.", "golang.org"),
        concat!("deb.", "debian.org"),
    ];
    let lines = source.lines().enumerate();
    let found = lines.filter_map(|(index, line)| {
        if let Some(place) = PLACES.iter().find(|place| line.contains(*place)) {
            return Some(complain(index, format!("`{place}` is a place on one machine: use a relative path, or one every machine has")));
        }
        let host = HOSTS.iter().find(|host| line.contains(*host))?;
        Some(complain(index, format!("`{host}` is a package host: name packages and versions, and let the reader's mirror serve them")))
    });
    found.collect()
}

/// In the workspace's manifest: each dependency, or the group it stands in, has a comment that says why it is there.
pub(crate) fn dependencies_have_reasons(manifest: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let (mut in_dependencies, mut reasoned) = (false, false);
    for (index, line) in manifest.lines().enumerate() {
        match line.trim() {
            section if section.starts_with('[') => {
                (in_dependencies, reasoned) = (section == "[workspace.dependencies]", false);
            }
            "" => reasoned = false,
            comment if comment.starts_with('#') => reasoned = true,
            own if own.starts_with("stead-") => (),
            line if in_dependencies && !reasoned && !line.contains(" # ") => {
                complaints
                    .push(complain(index, "write a comment above the dependency that says why it is there"));
            }
            _ => (),
        }
    }
    complaints
}

/// In a crate's manifest: the reason for a dependency stands in the workspace or above it, and only the arrows of
/// ARCHITECTURE.md are drawn.
pub(crate) fn crate_dependencies(manifest: &str, arrows: &[&str]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let (mut in_dependencies, mut previous) = (false, "");
    for (index, line) in manifest.lines().enumerate() {
        let reasoned = line.contains("workspace = true") || previous.starts_with('#');
        previous = line;
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| in_dependencies && !line.starts_with('#'))
        else {
            continue;
        };
        if !reasoned {
            let text = format!("`{name}`: say above it why it is there, or take it from the workspace");
            complaints.push(complain(index, text));
        }
        if let Some(room) = name.strip_prefix("stead-").filter(|room| !arrows.contains(room)) {
            let text =
                format!("this room must not know `{room}` (ARCHITECTURE.md): pass plain data in the binary");
            complaints.push(complain(index, text));
        }
    }
    complaints
}

/// The relative links of a Markdown file as (line, target), without their anchors.
pub(crate) fn relative_links(markdown: &str) -> Vec<(usize, String)> {
    let links = markdown.lines().enumerate().flat_map(|(index, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(move |target| (index + 1, target.split('#').next().unwrap_or_default().to_owned()))
    });
    links
        .filter(|(_, target)| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}
