//! What `Checkpoint` makes of weights files: the names, types and formats that occur, and hostile ones.

mod bombs;
mod directories;
mod elements;
mod files;
mod hostile_pickles;
mod hostile_zips;
mod listing;
mod names;
mod pickles;
mod safetensors_files;
mod torch_files;
mod views;
