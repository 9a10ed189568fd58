-- Everything this app recorded goes; blobs stay where they are. The role may serve other databases and stays.
drop schema ingest cascade;
