//! The promises of Stead, each proven with the real binary and real programs: one file per promise, its header in the
//! user's words. What they share is in `support/`.

#![expect(clippy::print_stderr, reason = "a failed test shows what the binary under test said")]

mod support;

mod access_log;
mod acme;
mod after_a_reboot;
mod all_workers_dead;
mod background;
mod bad_input;
mod balancer_bodies;
mod balancer_http;
mod balancer_limits;
mod balancer_smuggling;
mod behind_a_proxy;
mod coming_from_pm2;
mod command_line;
mod configuration;
mod confinement;
mod crash_random;
mod daemon_killed;
mod dependencies;
mod ecosystem_files;
mod first_steps;
mod grpc;
mod health;
mod hooks;
mod hostile_clients;
mod http2;
mod http2_floods;
mod http2_rules;
mod kill_storm;
mod leader;
mod limits_by_cgroup;
mod map;
mod messages;
mod monit;
mod no_leftovers;
mod node_programs;
mod node_servers;
mod other_programs;
mod outliers;
mod overload;
mod poison;
mod pools;
mod procfile;
mod raw_tcp;
mod recycling;
mod reload_broken_code;
mod reload_by_itself;
mod reload_under_load;
mod route_options;
mod routes;
mod schedules;
mod shards;
mod shared_socket;
mod shared_values;
mod smuggling;
mod static_files;
mod sticky_sessions;
mod tls;
mod udp;
mod upgrade;
mod websocket_and_sse;
mod wedged;
