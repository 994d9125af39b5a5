//! "My Python program uses the package `stead`, blocking or with asyncio, and has all that a Node.js program has."

use crate::support::background::Background;
use crate::support::sdk::{COPIES, they_talk};
use crate::support::{Stead, beside, fixture, node};

#[test]
fn copies_talk_share_and_have_one_leader() {
    let _turn = beside();
    let plan = Stead::script(fixture("python/with_sdk.py")).instances(COPIES).option("--name", "shop");
    they_talk(&plan.env("PYTHONPATH", fixture("../../sdk/python")).listen().start());
}

#[test]
fn a_pool_of_python_workers_does_the_tasks_of_a_node_program() {
    let _turn = beside();
    let user = Background::new().env("PYTHONPATH", fixture("../../sdk/python")).env("COUNT", 300);
    let (tasks, negate) = (node("sdk-tasks.js"), fixture("python/sdk_worker.py"));
    let config = format!(
        "[app.tasks]\ncommand = \"node {tasks}\"\nrestart = \"temporary\"\n\n\
         [pool.slow]\ncommand = \"python3 {negate}\"\nsize = 2\n"
    );
    user.write("stead.toml", &config);
    user.done(&["start"]);
    user.wait_status("every task has come back", |_| user.logs("tasks").contains("300 of 300"));
}
