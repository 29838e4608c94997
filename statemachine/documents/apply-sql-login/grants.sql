-- The least rights of the login that changes the passwords of other logins, once on every instance.
-- Run by a sysadmin:  sqlcmd -b -S tcp:HOST -i grants.sql -v administrator="NAME"
--
-- On Windows without an administrator's secret the SSM agent's own account logs in: see grants.sql of apply-s3-credential.
--
-- A login that is a sysadmin or has CONTROL SERVER is changed only by one that has CONTROL SERVER (FACTS B): rotate
-- logins of applications, which need neither.
USE [master];
GO
GRANT ALTER ANY LOGIN TO [$(administrator)];
GO
-- With two logins, replica groups or contained databases: whose sessions there are, and which replica is the primary.
GRANT VIEW SERVER STATE TO [$(administrator)];
GO
-- With two logins: what both may do, on the server and in every database.
GRANT VIEW ANY DEFINITION TO [$(administrator)];
GO
GRANT CONNECT ANY DATABASE TO [$(administrator)];
GO
-- With contained databases, in each of them:
--   CREATE USER [NAME] FOR LOGIN [NAME]; GRANT ALTER ANY USER TO [NAME];
-- A run with provision grants rights, and only one who has them can: CONTROL SERVER, for the time of that run.
