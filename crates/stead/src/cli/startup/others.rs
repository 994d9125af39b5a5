//! The same for init systems that are told by hand: what to write where, and what to run. Pure.

use super::plan::{Wishes, name};
use super::quote::{shell, shell_line};
use super::surroundings::Init;
use super::unit;

/// What to do, for people.
pub(super) fn instructions(wishes: &Wishes) -> String {
    match wishes.init {
        Init::OpenRc => openrc(wishes),
        Init::Runit => runit(wishes),
        Init::SysV => sysv(wishes),
        Init::Launchd => "Stead runs on Linux; there is nothing to set up for launchd.\n".to_owned(),
        Init::None => container(wishes),
        Init::Systemd | Init::Unknown => any(wishes),
    }
}

/// What undoes it.
pub(super) fn undo(wishes: &Wishes) -> String {
    let name = name(wishes);
    match wishes.init {
        Init::OpenRc => format!("As root:\n\n  rc-update del {name} default\n  rm /etc/init.d/{name}\n"),
        Init::Runit => format!("As root:\n\n  rm /var/service/{name}\n  rm -r /etc/sv/{name}\n"),
        Init::SysV => format!(
            "As root:\n\n  update-rc.d -f {name} remove     # or: chkconfig --del {name}\n  rm /etc/init.d/{name}\n"
        ),
        _ => "There is nothing that `stead startup` has set up here.\n".to_owned(),
    }
}

fn openrc(wishes: &Wishes) -> String {
    let name = name(wishes);
    format!(
        "\
OpenRC starts services by scripts. As root, write /etc/init.d/{name}:

#!/sbin/openrc-run
description=\"Stead, which keeps the apps of {user} up\"
supervisor=supervise-daemon
command={program}
command_args=\"background --resurrect\"
command_user={user}
retry=TERM/120/KILL/5
rc_ulimit=\"-n 65536\"
{exports}
depend() {{
  need localmount
  use net
}}

Then:

  chmod 755 /etc/init.d/{name}
  rc-update add {name} default

{end}",
        user = shell(&wishes.account.name),
        program = shell(&wishes.binary.display().to_string()),
        exports = exports(wishes),
        end = end(),
    )
}

fn runit(wishes: &Wishes) -> String {
    let name = name(wishes);
    format!(
        "\
runit starts services by scripts. As root, write /etc/sv/{name}/run:

#!/bin/sh
exec 2>&1
ulimit -n 65536
{exports}exec chpst -u {user} {program} background --resurrect

Then:

  chmod 755 /etc/sv/{name}/run
  ln -s /etc/sv/{name} /var/service/

{end}",
        user = shell(&wishes.account.name),
        program = shell(&wishes.binary.display().to_string()),
        exports = exports(wishes),
        end = end(),
    )
}

fn sysv(wishes: &Wishes) -> String {
    let name = name(wishes);
    format!(
        "\
As root, write /etc/init.d/{name}:

#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Stead, which keeps the apps of {user} up
### END INIT INFO
{exports}ulimit -n 65536
pidfile=/var/run/{name}.pid
case \"$1\" in
  start) start-stop-daemon --start --background --make-pidfile --pidfile $pidfile --chuid {user} --exec {program} -- background --resurrect ;;
  stop) start-stop-daemon --stop --pidfile $pidfile --retry TERM/120/KILL/5 ;;
  restart) \"$0\" stop; \"$0\" start ;;
  *) echo \"usage: $0 start|stop|restart\"; exit 2 ;;
esac

Then:

  chmod 755 /etc/init.d/{name}
  update-rc.d {name} defaults     # or: chkconfig --add {name}

{end}",
        user = shell(&wishes.account.name),
        program = shell(&wishes.binary.display().to_string()),
        exports = exports(wishes),
        end = end(),
    )
}

fn container(wishes: &Wishes) -> String {
    let program = shell(&wishes.binary.display().to_string());
    format!(
        "\
Nothing starts services here: this looks like a container, whose life is that of its first process. Let that be Stead:

  {program} run server.js -i max        # or, with a stead.toml beside it: {program} run

In a Dockerfile:

  CMD [\"stead\", \"run\"]

As the first process it reaps what is left behind, passes SIGTERM on, lets requests finish and ends with a code that says
why. Whoever runs the container starts it again: `docker run --restart=always`, Kubernetes by itself.

If something does start services here, `stead startup systemd` (or openrc, runit, sysvinit) says how.
"
    )
}

fn any(wishes: &Wishes) -> String {
    let mut words = vec!["env".to_owned()];
    words.extend(unit::environment(wishes).into_iter().map(|(name, value)| format!("{name}={value}")));
    words.push(wishes.binary.display().to_string());
    words.extend(["background".to_owned(), "--resurrect".to_owned()]);
    format!(
        "\
Have your service manager run this as the user {}, in the foreground, start it again when it ends with another code than 0,
and end it with SIGTERM:

  {}

It tells when it is ready and alive where it is asked to (NOTIFY_SOCKET, WATCHDOG_USEC).

{}",
        wishes.account.name,
        shell_line(&words),
        end(),
    )
}

fn exports(wishes: &Wishes) -> String {
    let variables = unit::environment(wishes);
    variables.iter().map(|(name, value)| format!("export {name}={}\n", shell(value))).collect()
}

fn end() -> &'static str {
    "What is started is what `stead save` has kept.\n"
}
