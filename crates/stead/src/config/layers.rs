//! The layers over each other: defaults, the file, the command line. What comes out has been read, but no program has
//! been looked for.

use super::DEFAULTS;
use super::document::{Entry, Member, Place, Problem, Value, parse};
use super::form::{Form, Shape, choice, count, list, string};
use super::instances::cores;
use super::read_app::{AppTable, NAME, check_name, read_app};
use super::read_schedule::check_pools;
use super::reader::{Key, Reader, unknown_key};
use super::settings::{Group, GroupStrategy};
use super::suggest::nearest;

/// Cores for each thread of the data path.
const CORES_PER_LANE: u32 = 4;

/// Keys of the file itself.
pub(super) const TOP_KEYS: [&str; 4] = ["app", "pool", "group", "lanes"];

/// `defaults.toml`, taken apart.
pub(super) struct Defaults {
    pub(super) lanes: Member,
    pub(super) app: Vec<Member>,
    pub(super) pool: Vec<Member>,
    pub(super) schedule: Vec<Member>,
    pub(super) group: Vec<Member>,
}

/// What the layers say together.
pub(super) struct Layered {
    pub(super) lanes: u32,
    pub(super) apps: Vec<(Option<String>, AppTable)>,
    pub(super) groups: Vec<Group>,
}

/// What lies over the defaults.
pub(super) struct Layers {
    pub(super) defaults: Defaults,
    pub(super) flags: Vec<Member>,
    /// What a message calls the file.
    pub(super) file_name: String,
}

impl Defaults {
    pub(super) fn read() -> Defaults {
        let members = parse(DEFAULTS, |_| Place::Defaults).expect("defaults.toml is valid TOML");
        let take = |key: &str| {
            let found = members.iter().find(|member| member.key == key);
            found.unwrap_or_else(|| panic!("defaults.toml names `{key}`")).clone()
        };
        let mut app = table_of_names(take("app"));
        let schedule = app.iter().position(|member| member.key == "schedule");
        let schedule = table_of_names(app.remove(schedule.expect("defaults.toml names `schedule`")));
        let (pool, group) = (table_of_names(take("pool")), table_of_names(take("group")));
        Defaults { lanes: take("lanes"), app, schedule, pool, group }
    }
}

/// [app.NAME], [pool.NAME] and [group.NAME] stand for the tables of all names.
fn table_of_names(member: Member) -> Vec<Member> {
    let Value::Table(mut tables) = member.entry.value else {
        unreachable!("defaults.toml has the table [{}.NAME]", member.key)
    };
    match tables.pop().map(|member| member.entry.value) {
        Some(Value::Table(members)) => members,
        _ => unreachable!("defaults.toml has the table [{}.NAME]", member.key),
    }
}

impl Layers {
    /// An app that the command line alone describes.
    pub(super) fn command_line(&self) -> Result<Layered, Problem> {
        let app = self.app("an app", &[])?;
        Ok(Layered { lanes: self.lanes(None)?, apps: vec![(None, app)], groups: Vec::new() })
    }

    /// A pool that the command line alone describes.
    pub(super) fn command_line_pool(&self) -> Result<Layered, Problem> {
        let pool = self.pool_of_flags()?;
        Ok(Layered { lanes: self.lanes(None)?, apps: vec![(None, pool)], groups: Vec::new() })
    }

    /// The apps of a file; `end` is where one would be added.
    pub(super) fn file(&self, members: Vec<Member>, end: Place) -> Result<Layered, Problem> {
        let (mut apps, mut groups, mut lanes, mut end) = (Vec::new(), Vec::new(), None, end);
        for member in members {
            match (member.key.as_str(), &member.entry.value) {
                ("lanes", _) => lanes = Some(member),
                (kind @ ("app" | "pool"), Value::Table(tables)) => {
                    end = member.key_place.clone();
                    for table in tables {
                        check_new(table, &apps)?;
                        apps.push(self.app_of(table, kind)?);
                    }
                }
                ("group", Value::Table(tables)) => groups.extend(tables.iter().cloned()),
                ("app" | "pool" | "group", _) => return Err(not_a_table(&member)),
                (key, _) => return Err(unknown_key(key, &member.key_place, "the file", &TOP_KEYS)),
            }
        }
        if apps.is_empty() {
            let hint = "write `[app.NAME]` and a `command`".to_owned();
            return Err(Problem::new(&end, "the file has no app").hint(Some(hint)));
        }
        let names: Vec<&str> = apps.iter().filter_map(|(name, _)| name.as_deref()).collect();
        check_dependencies(&apps, &names)?;
        let groups = self.groups(&groups, &names)?;
        Ok(Layered { lanes: self.lanes(lanes)?, apps, groups })
    }

    fn app_of(&self, table: &Member, kind: &str) -> Result<(Option<String>, AppTable), Problem> {
        let name = &table.key;
        let members = table_of(table, kind)?;
        let app = match kind {
            "pool" => self.pool(name, members)?,
            _ => {
                self.refuse_keys_of_pools(name, members)?;
                let app = self.app(&format!("`[app.{name}]`"), members)?;
                check_pools(&app.schedules, members)?;
                app
            }
        };
        if app.command.is_none() {
            let problem = Problem::new(&table.key_place, format!("{kind} `{name}` has no `command`"));
            let program = if kind == "pool" { "node resize.js" } else { "node server.js" };
            return Err(problem.hint(Some(format!("for example: command = \"{program}\""))));
        }
        Ok((Some(name.clone()), app))
    }

    fn app(&self, table: &str, members: &[Member]) -> Result<AppTable, Problem> {
        let flags = self.flags.iter().filter(|member| member.key != "lanes");
        let layers = self.defaults.app.iter().chain(members).chain(flags).cloned();
        Ok(read_app(Reader::new(table.to_owned(), layers))?.0)
    }

    fn groups(&self, tables: &[Member], apps: &[&str]) -> Result<Vec<Group>, Problem> {
        let mut groups: Vec<Group> = Vec::new();
        for table in tables {
            let members = table_of(table, "group")?;
            let layers = self.defaults.group.iter().chain(members).cloned();
            let reader = Reader::new(format!("`[group.{}]`", table.key), layers);
            let ((members, strategy), _) = read_group(reader)?;
            let mut names = Vec::new();
            for (name, place) in members.unwrap_or_default() {
                check_known(&name, &place, apps)?;
                if let Some(other) = groups.iter().find(|group| group.apps.contains(&name)) {
                    let message = format!("app `{name}` is in group `{}` already", other.name);
                    return Err(Problem::new(&place, message));
                }
                names.push(name);
            }
            if names.is_empty() {
                let problem = Problem::new(&table.key_place, format!("group `{}` has no `apps`", table.key));
                return Err(problem.hint(Some("for example: apps = [\"db\", \"shop\"]".to_owned())));
            }
            groups.push(Group { name: table.key.clone(), apps: names, strategy });
        }
        Ok(groups)
    }

    /// Threads of the data path.
    pub(super) fn lanes(&self, from_file: Option<Member>) -> Result<u32, Problem> {
        let flag = self.flags.iter().find(|member| member.key == "lanes").cloned();
        let layers = [Some(self.defaults.lanes.clone()), from_file, flag].into_iter().flatten();
        Reader::new(self.file_name.clone(), layers).get("lanes", lanes())
    }
}

/// How `lanes` is written.
pub(super) fn lanes() -> Form<u32> {
    let shape = Shape::Any(vec![count(1).into_shape(), Shape::Words(vec!["auto"])]);
    Form::new(shape, |entry| match &entry.value {
        Value::Integer(_) => count(1).read(entry),
        _ if string().read(entry)? == "auto" => Ok((cores() / CORES_PER_LANE).max(1)),
        _ => Err(Problem::new(&entry.place, "expected a number or \"auto\"")),
    })
}

/// The apps of a group with their places, if it names any, and its strategy.
type GroupTable = (Option<Vec<(String, Place)>>, GroupStrategy);

/// Reads a group's table whole, and tells which keys there are.
pub(super) fn read_group(mut reader: Reader) -> Result<(GroupTable, Vec<(Key, Shape)>), Problem> {
    let name = Form::new(Shape::Pattern(NAME), |entry: &Entry| {
        Ok((string().check(check_name).read(entry)?, entry.place.clone()))
    });
    let table = (reader.take("apps", list(name))?, reader.get("strategy", choice())?);
    Ok((table, reader.finish()?))
}

fn not_a_table(member: &Member) -> Problem {
    let key = &member.key;
    let hint = format!("each {key} has a table: [{key}.NAME]");
    Problem::new(&member.entry.place, format!("`{key}` is not a table")).hint(Some(hint))
}

/// Apps and pools share their names.
fn check_new(table: &Member, apps: &[(Option<String>, AppTable)]) -> Result<(), Problem> {
    let other = apps.iter().find(|(name, _)| name.as_ref() == Some(&table.key));
    let Some((_, other)) = other else { return Ok(()) };
    let what = if other.pool.is_some() { "a pool" } else { "an app" };
    let message = format!("`{}` is the name of {what} already", table.key);
    let hint = "commands mean apps and pools by their names: choose another".to_owned();
    Err(Problem::new(&table.key_place, message).hint(Some(hint)))
}

/// The members of `[app.NAME]`, `[pool.NAME]` or `[group.NAME]`.
fn table_of<'a>(table: &'a Member, kind: &str) -> Result<&'a [Member], Problem> {
    let name = &table.key;
    check_name(name.clone()).map_err(|message| Problem::new(&table.key_place, message))?;
    let Value::Table(members) = &table.entry.value else {
        let hint = format!("write `[{kind}.{name}]` and the settings below it");
        let message = format!("`{kind}.{name}` is not a table");
        return Err(Problem::new(&table.entry.place, message).hint(Some(hint)));
    };
    Ok(members)
}

fn check_known(name: &str, place: &Place, apps: &[&str]) -> Result<(), Problem> {
    if apps.contains(&name) {
        return Ok(());
    }
    let meant = nearest(name, apps.iter().copied()).map(|name| format!("did you mean `{name}`?"));
    Err(Problem::new(place, format!("there is no app `{name}` in the file")).hint(meant))
}

/// What an app depends on is in the file, and nothing waits for itself.
fn check_dependencies(apps: &[(Option<String>, AppTable)], names: &[&str]) -> Result<(), Problem> {
    for (_, app) in apps {
        for (dependency, place) in &app.care.depends_on {
            check_known(&dependency.app, place, names)?;
        }
    }
    for name in names {
        if let Some((way, place)) = way_back(name, &[*name], apps) {
            let way = way.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" -> ");
            return Err(Problem::new(&place, format!("an app waits for itself: {way}")));
        }
    }
    Ok(())
}

/// The first way along dependencies from the last of `way` back to `goal`, and where its last step is written.
fn way_back(goal: &str, way: &[&str], apps: &[(Option<String>, AppTable)]) -> Option<(Vec<String>, Place)> {
    let here = way.last()?;
    let (_, app) = apps.iter().find(|(name, _)| name.as_deref() == Some(*here))?;
    for (dependency, place) in &app.care.depends_on {
        let further: Vec<&str> = way.iter().copied().chain([dependency.app.as_str()]).collect();
        if dependency.app == goal {
            return Some((further.into_iter().map(str::to_owned).collect(), place.clone()));
        }
        // A circle elsewhere is found from its own apps.
        if !way.contains(&dependency.app.as_str())
            && let Some(found) = way_back(goal, &further, apps)
        {
            return Some(found);
        }
    }
    None
}
