drop index invitations_ended;
drop index signups_ended;
