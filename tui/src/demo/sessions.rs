//! Who is logged in. **This is the leak.**

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

/// What a user sends to log in.
#[derive(Debug, Deserialize)]
pub struct Login {
    /// Name of the user.
    pub user: String,
    /// What they log in from.
    pub device: String,
    /// Their settings.
    pub profile: String,
}

/// What is remembered of a user.
#[derive(Debug)]
struct Session {
    device: String,
    profile: Vec<u8>,
}

/// The registry of sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    by_key: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// Sessions remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Remembers a user until they log out.
#[inline(never)]
pub fn remember_session(sessions: &Sessions, login: &Login) -> String {
    let profile = login.profile.as_bytes().to_vec();
    let session = Session {
        device: login.device.clone(),
        profile,
    };
    // The same user may come from two devices, so the device is part of the key here…
    let key = format!("{}@{}", login.user, session.device);
    sessions
        .by_key
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key.clone(), session);
    key
}

/// Forgets a user. Returns whether there was something to forget.
#[inline(never)]
pub fn forget_session(sessions: &Sessions, user: &str) -> bool {
    // …but not here: nothing is ever found, and nothing complains.
    let session = sessions
        .by_key
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(user);
    session.is_some_and(|session| !session.profile.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logging_out_leaves_the_session_behind() {
        let sessions = Sessions::default();
        for user in 0..10 {
            let login = Login {
                user: format!("user-{user}"),
                device: "phone".to_owned(),
                profile: "x".repeat(100),
            };
            remember_session(&sessions, &login);
            assert!(!forget_session(&sessions, &login.user));
        }
        assert_eq!(sessions.len(), 10);
    }
}
