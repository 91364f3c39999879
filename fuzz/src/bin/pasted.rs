//! Sessions, tickets, chats: several things in one text.
#![no_main]

sunup_fuzz::target!(sunup_fuzz::intake::stream);
