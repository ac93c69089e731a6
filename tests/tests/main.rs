//! What Warren promises, each promise by a test against real servers.
//!
//! One program, for each of its own would be linked anew after every change; `nextest` runs every test in a process of its own.

mod alerts;
mod backlog;
mod bad_messages;
mod broker_comes_back;
mod broker_faults;
mod clock;
mod closed;
mod cluster;
mod command_line;
mod commands;
mod confirms;
mod dashboard;
mod dead_letters;
mod delay;
mod delivery;
mod faults;
mod figures;
mod foreign_clients;
mod gateway;
mod hostile_handlers;
mod hostile_tasks;
mod ladder;
mod length_policy;
mod lists;
mod monitor_faults;
mod not_text;
mod once;
mod openapi;
mod order;
mod poison;
mod preflight;
mod producer_faults;
mod projection_faults;
mod quorum;
mod redis_faults;
mod replay_faults;
mod retry;
mod schedules;
mod steering;
mod terminal;
mod worker_faults;
mod workers_under_load;
mod workflow_faults;
mod workflows;
