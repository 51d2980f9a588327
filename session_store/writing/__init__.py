"""What a job runs beside its conversation: recording, leases, the spool, a start without Redis."""
