//! The keys and the secret at the start of a world.

use std::path::PathBuf;

use super::*;

/// Makes the user's keys and the secret as the fleet file says; the key that the hosts hold.
pub(super) fn set_up(cloud: &Cloud, file: &FleetFile, settings: &Settings, user: &str) -> (String, String) {
    let held = pair("CURRENT");
    let age =
        |days: i64| file.starts_at.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(file.starts_at);
    let made = age(file.key_age_days);
    cloud.add_access_key(user, (&held.0, &held.1), KeyStatus::Active, made);
    let second = pair("SECOND");
    if file.second_key != SecondKey::None {
        cloud.add_access_key(user, (&second.0, &second.1), KeyStatus::Active, age(file.key_age_days + 30));
    }
    let plain = |key: &(String, String)| format!("{}:{}", key.0, key.1);
    let name = settings.secret.id.rsplit(':').next().unwrap_or_default();
    let value = match file.value {
        StartValue::Plain => Some(plain(&held)),
        StartValue::Json => Some(json!({ "accessKeyId": held.0, "secretAccessKey": held.1 }).to_string()),
        StartValue::NotAKey => Some("to be filled in later".to_owned()),
        StartValue::Empty => Some(String::new()),
        StartValue::NoVersion => None,
        StartValue::NoSecret => return held,
    };
    if file.second_key == SecondKey::Previous {
        // The published solution's last run: the older key was current, and UpdateSecret put the newer one over it.
        cloud.add_secret(name, Some(&plain(&second)));
        let value = value.unwrap_or_default();
        #[allow(clippy::expect_used, reason = "set-up asks for nothing that AWS refuses")]
        cloud.put_secret_value(name, &value, &["AWSCURRENT"]).expect("a person may store a value");
    } else {
        cloud.add_secret(name, value.as_deref());
    }
    held
}

/// An access key of the sandbox's own: 20 and 40 characters, with the characters that make trouble elsewhere.
fn pair(name: &str) -> (String, String) {
    let id = format!("AKIASANDBOX{name:0<9}");
    let secret = secret_text(&id);
    (id, secret)
}

/// Forty characters of base64's alphabet that depend on nothing but `seed`, so that no secret is in the repository.
pub(super) fn secret_text(seed: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut text = String::with_capacity(40);
    for _ in 0..40 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(ALPHABET[(state >> 58) as usize]));
    }
    text
}

/// A folder for this world alone.
pub(super) fn temporary_folder() -> std::io::Result<PathBuf> {
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let number = WORLDS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("credential-rotation-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
