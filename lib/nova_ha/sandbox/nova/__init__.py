"""A simulated OpenStack: enough of Keystone, Nova, Placement and Glance for python-novaclient to work unchanged.

It holds state and does nothing by halves: services report and fall silent, evacuations take their time and go
wrong as the real ones do (measured, see tests/nova), guests run on hosts and can be seen to run twice. Nothing
is kept on disk. User `admin`, password `secret`, project `admin`; user `member` is no administrator.

    python -m nova_ha.sandbox.nova --address 127.0.0.1 --port 0 --hosts compute-1,compute-2,ha-1

prints its URL (`OS_AUTH_URL` is that + `/identity/v3`), and ends with its standard input or on SIGTERM.

Endpoints for a rehearsal and its auditor, without a token:

    GET    /sandbox/hosts      each host: its service as Nova shows it, `powered`, `alive` (its nova-compute works)
    POST   /sandbox/hosts      {name, inventory: {VCPU: 64, ...}, reports_itself: true, shares_disks: true}
    PUT    /sandbox/hosts/NAME {shares_disks: false, ...}: change fields of a host
    POST   /sandbox/heartbeat  {host, boot}: a report of the host's own process, every second. From the first one on,
                               the host lives by its heartbeats only; a new `boot` is a restart of its nova-compute,
                               which cleans evacuated servers before it reports. 409 while powered off
    POST   /sandbox/power      {host, on}: off ends nova-compute and guests; on starts nova-compute again where
                               the host reports by itself
    POST   /sandbox/compute    {host, running}: kill nova-compute (guests run on), or start it
    POST   /sandbox/bus        {running}: take the message bus away, so that no nova-compute reports and no rebuild
                               begins, or give it back, and with it all reports at once
    POST   /sandbox/servers    {host, name, flavor, vm_state, task_state, metadata, tags, image_id, ...} -> {id};
                               `on_volume`: its root disk is one, and comes back whichever hosts share their disks
    PUT    /sandbox/servers/ID {vm_state, task_state, ...}: change fields of a server in Nova's database
    DELETE /sandbox/servers/ID forget a server with its guests and its evacuations, at once
    POST   /sandbox/moves      {server, destination, kind, handed_over} -> {id}: a migration that is under way and
                               stays so; `kind` is live-migration, migration or resize, `handed_over`: the guest runs
                               on the destination already, while Nova says that the server is where it was
    POST   /sandbox/flavors    {name, extra_specs, size: {VCPU: 1, ...}} -> {id}
    POST   /sandbox/images     {name, properties, tags, id} -> {id}
    GET    /sandbox/guests     {guests: {server: {host: runs there}}, overlaps: [{server, hosts, since}]}
    GET    /sandbox/requests   every request: {at, client, method, path, query, action, body, status}; `client` is the
                               address that it came from; status 0: not answered
    GET    /sandbox/history    {runs: [{server, host, began, ended, disk}], evacuations: [{id, server, source,
                               destination, began, status, ended}]}, all that there ever were; `ended` null: not yet
    DELETE /sandbox/history    forget the requests until now, and what of the history is over: for runs of hours
    POST   /sandbox/faults     {errors: FAULT or [FAULT...], fail_spawn: [server or host...],
                               slow_spawn: {server or host: seconds}, forget_tokens: true, drops_filters: true,
                               locked_disks: [server...]}, added to those in force
    DELETE /sandbox/faults     end all of them

A FAULT is {match, status, lost, acts, delay_s, times, retry_after_s}, see `faults.NovaFault`:
{"match": "evacuate", "status": 500, "times": 3} refuses three evacuations,
{"match": "evacuate", "lost": true, "acts": true} does them and never answers.
"""
