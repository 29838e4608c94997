-- The least rights of the login that alters and proves the credentials, once on every instance.
-- Run by a sysadmin:  sqlcmd -b -S tcp:HOST -i grants.sql -v administrator="NAME"
--
-- On Windows without an administrator's secret the SSM agent's own account logs in: "NT AUTHORITY\SYSTEM", which SQL
-- Server's set-up makes a login of. In a domain where the instance has a service principal name, Kerberos makes of it
-- the computer's account, "DOMAIN\COMPUTER$": grant both, and on a cluster every node's. A login that is not there yet:
--   CREATE LOGIN [DOMAIN\COMPUTER$] FROM WINDOWS;
--
-- ALTER ANY CREDENTIAL covers server credentials only; CONTROL SERVER is not needed (FACTS B).
USE [master];
GO
GRANT ALTER ANY CREDENTIAL TO [$(administrator)];
GO
-- The proof is a backup of model, the smallest database that every instance has.
-- Note that model is the template of databases made later: they inherit this user and its right to back them up.
USE [model];
GO
IF DATABASE_PRINCIPAL_ID(N'$(administrator)') IS NULL
    CREATE USER [$(administrator)] FOR LOGIN [$(administrator)];
GO
ALTER ROLE [db_backupoperator] ADD MEMBER [$(administrator)];
GO
