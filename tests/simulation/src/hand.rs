//! A person's hand: what people do to keys, labels and values while a rotation goes on, or long before it.
//!
//! Whatever they do goes through AWS's own calls, so that AWS refuses them what it refuses; a refusal ends the act.

use rotation::names::{AWSCURRENT, AWSPENDING};
use sandbox::cloud::KeyStatus;
use sandbox::cloud::views::SecretView;
use sandbox::world::World;

use crate::beginning::{SECRET, USER};

/// What a person does by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Makes a key for the user.
    AddKey,
    /// Deletes a key of the user.
    DeleteKey(Which),
    /// Makes a key Inactive.
    Deactivate(Which),
    /// Makes a key Active.
    Activate(Which),
    /// Moves AWSCURRENT to another version that holds a key.
    CurrentToAnother,
    /// Takes AWSPENDING off.
    PendingOff,
    /// Puts AWSPENDING on another version that holds a key.
    PendingToAnother,
    /// Makes a key and stores it as current.
    StoreNewKey,
    /// Makes a key and stores it as pending.
    StagesNewKey,
    /// Stores the current value once more.
    StoreAgain,
    /// Stores a text that is no key as current.
    StoreGarbage,
    /// Stores a text that is no key as pending.
    StageGarbage,
    /// Takes a key's private label off.
    PrivateLabelOff(Which),
}

/// Which key a person means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that AWSCURRENT's version holds.
    Current,
    /// The one that AWSPENDING's version holds.
    Pending,
    /// One of the user's that is neither.
    Another,
}

impl Which {
    /// The key; none where there is no such one.
    pub fn key(self, world: &World) -> Option<String> {
        let secret = world.cloud.secret(SECRET)?;
        let (current, pending) = (key_of(&secret, AWSCURRENT), key_of(&secret, AWSPENDING));
        match self {
            Which::Current => current,
            Which::Pending => pending,
            Which::Another => {
                let ids = world.cloud.access_keys(USER).into_iter().map(|key| key.access_key_id);
                ids.map(Some).find(|key| *key != current && *key != pending).flatten()
            }
        }
    }
}

/// The key of the version with a label.
pub fn key_of(secret: &SecretView, label: &str) -> Option<String> {
    secret.versions.get(secret.labels.get(label)?)?.clone()
}

impl Hand {
    /// The act. What AWS refuses is not done, and whoever was refused leaves it at that.
    pub fn does(self, world: &World) {
        let _ = self.tries(world);
    }

    fn tries(self, world: &World) -> Option<()> {
        let cloud = &world.cloud;
        let secret = cloud.secret(SECRET)?;
        match self {
            Hand::AddKey => cloud.create_access_key(USER).ok().map(|_| ()),
            Hand::DeleteKey(which) => cloud.delete_access_key(USER, &which.key(world)?).ok(),
            Hand::Deactivate(which) => cloud.update_access_key(USER, &which.key(world)?, KeyStatus::Inactive).ok(),
            Hand::Activate(which) => cloud.update_access_key(USER, &which.key(world)?, KeyStatus::Active).ok(),
            Hand::CurrentToAnother => move_to_another(world, &secret, AWSCURRENT),
            Hand::PendingOff => cloud.move_label(SECRET, AWSPENDING, Some(secret.labels.get(AWSPENDING)?), None).ok(),
            Hand::PendingToAnother => move_to_another(world, &secret, AWSPENDING),
            Hand::StoreNewKey => store_new_key(world, AWSCURRENT),
            Hand::StagesNewKey => store_new_key(world, AWSPENDING),
            Hand::StoreAgain => {
                let value = cloud.secret_value(SECRET, secret.labels.get(AWSCURRENT)?)?;
                cloud.put_secret_value(SECRET, &value, &[AWSCURRENT]).ok().map(|_| ())
            }
            Hand::StoreGarbage => {
                cloud.put_secret_value(SECRET, "to be filled in later", &[AWSCURRENT]).ok().map(|_| ())
            }
            Hand::StageGarbage => {
                cloud.put_secret_value(SECRET, "to be filled in later", &[AWSPENDING]).ok().map(|_| ())
            }
            Hand::PrivateLabelOff(which) => {
                let key = which.key(world)?;
                cloud.move_label(SECRET, &key, Some(secret.labels.get(&key)?), None).ok()
            }
        }
    }
}

/// Moves a label to a version that holds a key and does not bear the label.
fn move_to_another(world: &World, secret: &SecretView, label: &str) -> Option<()> {
    let from = secret.labels.get(label);
    let (to, _) = secret.versions.iter().find(|(version, key)| key.is_some() && Some(*version) != from)?;
    world.cloud.move_label(SECRET, label, from.map(String::as_str), Some(to)).ok()
}

/// Makes a key and stores it under a label.
pub fn store_new_key(world: &World, label: &str) -> Option<()> {
    let (key, secret) = world.cloud.create_access_key(USER).ok()?;
    world.cloud.put_secret_value(SECRET, &format!("{key}:{secret}"), &[label]).ok().map(|_| ())
}
