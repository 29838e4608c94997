//! Always On availability groups, as one of their replicas sees them.

/// A row of sys.availability_groups with what the local replica is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityGroup {
    /// The local replica's role.
    pub role: Role,
    /// How many replicas the group has.
    pub replicas: u32,
    /// is_contained, since 16.x: the group has a master database of its own, and logins in it.
    pub is_contained: bool,
    /// Whether a distributed availability group has it for a member.
    pub is_in_distributed_group: bool,
}

impl AvailabilityGroup {
    /// A group of so many replicas.
    pub fn new(role: Role, replicas: u32) -> AvailabilityGroup {
        AvailabilityGroup { role, replicas, is_contained: false, is_in_distributed_group: false }
    }
}

/// sys.dm_hadr_availability_replica_states.role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// 0: the group has no primary at the moment.
    Resolving,
    /// 1.
    Primary,
    /// 2.
    Secondary,
}

impl Role {
    /// The number in the view.
    pub fn number(self) -> u8 {
        match self {
            Role::Resolving => 0,
            Role::Primary => 1,
            Role::Secondary => 2,
        }
    }
}
