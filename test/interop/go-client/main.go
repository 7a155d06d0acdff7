// Does what kube-apiserver and controllers do with etcd's own client, and prints what comes of it, line by line: the same
// steps against two servers must print the same. Usage: go-client plain|auth|leader ENDPOINT
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

func say(format string, values ...any) { fmt.Printf(format+"\n", values...) }

func must(err error) {
	if err != nil {
		say("FATAL %v", err)
		os.Exit(1)
	}
}

func connect(endpoint string, more ...func(*clientv3.Config)) *clientv3.Client {
	config := clientv3.Config{
		Endpoints:            []string{endpoint},
		DialTimeout:          20 * time.Second,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		Logger:               zap.NewNop(),
	}
	for _, change := range more {
		change(&config)
	}
	client, err := clientv3.New(config)
	must(err)
	return client
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	mode, endpoint := os.Args[1], os.Args[2]
	switch mode {
	case "plain":
		client := connect(endpoint)
		defer client.Close()
		kubernetes(ctx, client)
		lists(ctx, client)
		compactions(ctx, client)
		leases(ctx, client)
		watches(ctx, client)
		recipes(ctx, client)
		maintenance(ctx, client)
	case "auth":
		auth(ctx, endpoint)
	case "leader":
		leader(ctx, endpoint)
	}
}

// Creates, updates and deletes as the apiserver's storage does: a transaction on the revision that was read.
func kubernetes(ctx context.Context, client *clientv3.Client) {
	key := "/registry/pods/default/a"
	create := func() {
		answer, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(clientv3.OpPut(key, "v1")).Commit()
		must(err)
		say("create %v at %d", answer.Succeeded, answer.Header.Revision)
	}
	create()
	create()
	read, err := client.Get(ctx, key)
	must(err)
	kv := read.Kvs[0]
	say("read %s create %d mod %d version %d lease %d", kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
	for _, revision := range []int64{kv.ModRevision, kv.ModRevision} {
		answer, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
			Then(clientv3.OpPut(key, "v2")).Else(clientv3.OpGet(key)).Commit()
		must(err)
		say("update %v at %d, answer %v", answer.Succeeded, answer.Header.Revision, answer.Responses)
	}
	answer, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 3)).
		Then(clientv3.OpDelete(key, clientv3.WithPrevKV())).Else(clientv3.OpGet(key)).Commit()
	must(err)
	say("delete %v at %d, answer %v", answer.Succeeded, answer.Header.Revision, answer.Responses)
	_, err = client.Txn(ctx).Then(clientv3.OpPut("x", "1"), clientv3.OpPut("x", "2")).Commit()
	say("twice in one: %v", err)
	_, err = client.Put(ctx, "", "v")
	say("without a key: %v %v", err, errors.Is(err, rpctypes.ErrEmptyKey))
	_, err = client.Put(ctx, "big", strings.Repeat("x", 1_600_000))
	say("too large: %v", err)
	_, err = client.Put(ctx, "leased", "v", clientv3.WithLease(12345))
	say("no such lease: %v", err)
	_, err = client.Put(ctx, "none", "v", clientv3.WithIgnoreValue())
	say("ignored value: %v", err)
}

func lists(ctx context.Context, client *clientv3.Client) {
	const count = 2300
	for index := 0; index < count; index += 100 {
		ops := []clientv3.Op{}
		for at := index; at < index+100; at++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/list/%05d", at), strings.Repeat("v", 300)))
		}
		_, err := client.Txn(ctx).Then(ops...).Commit()
		must(err)
	}
	from, revision, pages := "/list/", int64(0), 0
	end := clientv3.GetPrefixRangeEnd("/list/")
	for {
		page, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(500), clientv3.WithRev(revision))
		must(err)
		if revision == 0 {
			revision = page.Header.Revision
		}
		pages++
		last := string(page.Kvs[len(page.Kvs)-1].Key)
		say("page %d: %d keys of %d, more %v, last %s at %d", pages, len(page.Kvs), page.Count, page.More, last, page.Header.Revision)
		// Changes in between do not show in later pages.
		_, err = client.Put(ctx, fmt.Sprintf("/list/9%04d", pages), "late")
		must(err)
		if !page.More {
			break
		}
		from = last + "\x00"
	}
	for _, options := range [][]clientv3.OpOption{
		{clientv3.WithPrefix(), clientv3.WithCountOnly()},
		{clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(2), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend)},
		{clientv3.WithFromKey(), clientv3.WithLimit(1), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend)},
		{clientv3.WithPrefix(), clientv3.WithLimit(3), clientv3.WithMinModRev(10), clientv3.WithMaxCreateRev(20)},
		{clientv3.WithPrefix(), clientv3.WithSerializable(), clientv3.WithLimit(1)},
	} {
		answer, err := client.Get(ctx, "/list/", options...)
		must(err)
		say("list: %d of %d more %v at %d", len(answer.Kvs), answer.Count, answer.More, answer.Header.Revision)
		for _, kv := range answer.Kvs {
			say("  %s %d bytes, %d %d", kv.Key, len(kv.Value), kv.CreateRevision, kv.ModRevision)
		}
	}
}

func compactions(ctx context.Context, client *clientv3.Client) {
	now, err := client.Get(ctx, "x")
	must(err)
	revision := now.Header.Revision
	for index := 0; index < 10; index++ {
		_, err := client.Put(ctx, "compacted", fmt.Sprint(index))
		must(err)
	}
	_, err = client.Compact(ctx, revision+5, clientv3.WithCompactPhysical())
	must(err)
	_, err = client.Compact(ctx, revision+5)
	say("again: %v %v", err, errors.Is(err, rpctypes.ErrCompacted))
	_, err = client.Compact(ctx, revision+5000)
	say("future: %v %v", err, errors.Is(err, rpctypes.ErrFutureRev))
	_, err = client.Get(ctx, "compacted", clientv3.WithRev(revision+4))
	say("read below: %v %v", err, errors.Is(err, rpctypes.ErrCompacted))
	_, err = client.Get(ctx, "compacted", clientv3.WithRev(revision+5000))
	say("read above: %v", err)
	at, err := client.Get(ctx, "compacted", clientv3.WithRev(revision+5))
	must(err)
	say("read at: %s", at.Kvs[0].Value)
	_, err = client.Txn(ctx).Then(clientv3.OpGet("compacted", clientv3.WithRev(revision+1))).Commit()
	say("in a transaction: %v", err)
	for answer := range client.Watch(ctx, "compacted", clientv3.WithRev(revision+2)) {
		say("watch below: canceled %v compact revision %+d err %v events %d", answer.Canceled, answer.CompactRevision-revision, answer.Err(), len(answer.Events))
	}
	events := 0
	for answer := range client.Watch(ctx, "compacted", clientv3.WithRev(revision+6)) {
		events += len(answer.Events)
		if events == 5 {
			say("watch above: all")
			break
		}
	}
}

func leases(ctx context.Context, client *clientv3.Client) {
	lease, err := client.Grant(ctx, 3)
	must(err)
	_, err = client.Put(ctx, "leased", "v", clientv3.WithLease(lease.ID))
	must(err)
	renewals, err := client.KeepAlive(ctx, lease.ID)
	must(err)
	for count := 0; count < 3; count++ {
		say("renewed for %d", (<-renewals).TTL)
	}
	left, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	must(err)
	say("granted %d, alive %v, keys %s", left.GrantedTTL, left.TTL > 0, left.Keys)
	_, err = client.Revoke(ctx, lease.ID)
	must(err)
	for range renewals {
	}
	say("renewals end")
	_, err = client.KeepAliveOnce(ctx, lease.ID)
	say("once more: %v %v", err, errors.Is(err, rpctypes.ErrLeaseNotFound))
	left, err = client.TimeToLive(ctx, lease.ID)
	say("gone: %d %v", left.TTL, err)
	_, err = client.Revoke(ctx, lease.ID)
	say("revoked again: %v", err)
	short, err := client.Grant(ctx, 1)
	must(err)
	_, err = client.Put(ctx, "short", "v", clientv3.WithLease(short.ID))
	must(err)
	watching, cancel := context.WithCancel(ctx)
	for answer := range client.Watch(watching, "short", clientv3.WithFilterPut(), clientv3.WithPrevKV()) {
		say("expired: %s, before %s", answer.Events[0].Type, answer.Events[0].PrevKv.Value)
		break
	}
	cancel()
}

func watches(ctx context.Context, client *clientv3.Client) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	base, err := client.Put(ctx, "watched/a", "1")
	must(err)
	channel := client.Watch(watching, "watched/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithProgressNotify(),
		clientv3.WithCreatedNotify(), clientv3.WithFragment())
	created := <-channel
	say("created %v at %+d", created.Created, created.Header.Revision-base.Header.Revision)
	idle := <-channel
	say("after a while: progress %v at %+d, events %d", idle.IsProgressNotify(), idle.Header.Revision-base.Header.Revision, len(idle.Events))
	ops := []clientv3.Op{}
	for index := 0; index < 8; index++ {
		ops = append(ops, clientv3.OpPut(fmt.Sprintf("watched/big%d", index), strings.Repeat("x", 150_000)))
	}
	_, err = client.Txn(ctx).Then(ops...).Commit()
	must(err)
	_, err = client.Txn(ctx).Then(clientv3.OpPut("watched/a", "2"), clientv3.OpDelete("watched/big", clientv3.WithPrefix())).Commit()
	must(err)
	for seen := 0; seen < 17; {
		answer := <-channel
		for _, event := range answer.Events {
			before := 0
			if event.PrevKv != nil {
				before = len(event.PrevKv.Value)
			}
			say("%s %s %d bytes, before %d, at %+d", event.Type, event.Kv.Key, len(event.Kv.Value), before, event.Kv.ModRevision-base.Header.Revision)
			seen++
		}
	}
	must(client.RequestProgress(watching))
	asked := <-channel
	say("asked: progress %v at %+d", asked.IsProgressNotify(), asked.Header.Revision-base.Header.Revision)
	future := client.Watch(watching, "watched/a", clientv3.WithRev(base.Header.Revision+4))
	for _, value := range []string{"3", "4"} {
		_, err = client.Put(ctx, "watched/a", value)
		must(err)
	}
	answer := <-future
	say("from the future: %s", answer.Events[0].Kv.Value)
}

func recipes(ctx context.Context, client *clientv3.Client) {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	must(err)
	mutex := concurrency.NewMutex(session, "lock")
	must(mutex.Lock(ctx))
	other, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	must(err)
	say("held: %v", concurrency.NewMutex(other, "lock").TryLock(ctx))
	must(mutex.Unlock(ctx))
	say("free: %v", concurrency.NewMutex(other, "lock").TryLock(ctx))
	election := concurrency.NewElection(session, "election")
	must(election.Campaign(ctx, "me"))
	leader, err := election.Leader(ctx)
	must(err)
	say("leader %s", leader.Kvs[0].Value)
	must(election.Resign(ctx))
	_, err = election.Leader(ctx)
	say("resigned: %v", err)
	_, err = concurrency.NewSTM(client, func(stm concurrency.STM) error {
		stm.Put("stm", stm.Get("stm")+"+")
		return nil
	})
	say("stm %v", err)
	must(session.Close())
	must(other.Close())
}

func maintenance(ctx context.Context, client *clientv3.Client) {
	endpoint := client.Endpoints()[0]
	status, err := client.Status(ctx, endpoint)
	must(err)
	say("status %s %s learner %v leader %v errors %v", status.Version, status.StorageVersion, status.IsLearner, status.Leader == status.Header.MemberId, status.Errors)
	members, err := client.MemberList(ctx)
	must(err)
	say("members %d %s", len(members.Members), members.Members[0].Name)
	_, err = client.MemberRemove(ctx, 1)
	say("remove: %v", err)
	_, err = client.MemberPromote(ctx, 1)
	say("promote: %v", err)
	_, err = client.MoveLeader(ctx, 1)
	say("move: %v", err)
	hash, err := client.HashKV(ctx, endpoint, 0)
	must(err)
	say("hash at compact %v", hash.CompactRevision)
	snapshot, err := client.Snapshot(ctx)
	must(err)
	size, err := io.Copy(io.Discard, snapshot)
	say("snapshot %v, a sum at its end %v", err, size%512 == 32)
	_, err = client.Defragment(ctx, endpoint)
	say("defragment %v", err)
	alarms, err := client.AlarmList(ctx)
	must(err)
	say("alarms %d", len(alarms.Alarms))
}

// The server's tokens live for two seconds: the client asks for new ones unseen.
func auth(ctx context.Context, endpoint string) {
	root := connect(endpoint)
	_, err := root.RoleAdd(ctx, "reader")
	must(err)
	_, err = root.RoleGrantPermission(ctx, "reader", "a", "b", clientv3.PermissionType(clientv3.PermReadWrite))
	must(err)
	for _, user := range []string{"root", "al"} {
		_, err = root.UserAdd(ctx, user, "pw")
		must(err)
	}
	_, err = root.UserGrantRole(ctx, "root", "root")
	must(err)
	_, err = root.UserGrantRole(ctx, "al", "reader")
	must(err)
	_, err = root.AuthEnable(ctx)
	must(err)
	_, err = root.Put(ctx, "a1", "v")
	say("without a user: %v", err)
	as := func(name, password string) func(*clientv3.Config) {
		return func(config *clientv3.Config) { config.Username, config.Password = name, password }
	}
	_, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Username: "al", Password: "wrong", DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	say("wrong password: %v", err)
	al := connect(endpoint, as("al", "pw"))
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	channel := al.Watch(watching, "a", clientv3.WithRange("b"))
	for round := 0; round < 3; round++ {
		_, err = al.Put(ctx, "a1", fmt.Sprint(round))
		say("al puts: %v", err)
		_, err = al.Get(ctx, "c")
		say("al reads c: %v", err)
		say("al sees %s", (<-channel).Events[0].Kv.Value)
		time.Sleep(3 * time.Second)
	}
	for answer := range al.Watch(ctx, "c") {
		say("al watches c: canceled %v %v", answer.Canceled, answer.Err())
	}
	admin := connect(endpoint, as("root", "pw"))
	_, err = admin.UserChangePassword(ctx, "al", "new")
	must(err)
	_, err = al.Put(ctx, "a1", "old token")
	say("after a new password: %v", err)
	_, err = admin.RoleRevokePermission(ctx, "reader", "a", "b")
	must(err)
	fresh := connect(endpoint, as("al", "new"))
	_, err = fresh.Put(ctx, "a1", "v")
	say("al puts: %v", err)
	lease, err := fresh.Grant(ctx, 100)
	say("al grants: %v", err)
	if err == nil {
		_, err = fresh.KeepAliveOnce(ctx, lease.ID)
		say("al renews: %v", err)
	}
	_, err = fresh.AuthDisable(ctx)
	say("al disables: %v", err)
	_, err = admin.AuthDisable(ctx)
	say("root disables: %v", err)
}

// Told on the standard input when the other members are gone, and when they are back.
func leader(ctx context.Context, endpoint string) {
	client := connect(endpoint)
	needed := client.Watch(clientv3.WithRequireLeader(ctx), "k", clientv3.WithCreatedNotify())
	patient := client.Watch(ctx, "k", clientv3.WithCreatedNotify())
	say("created %v %v", (<-needed).Created, (<-patient).Created)
	lease, err := client.Grant(ctx, 600)
	must(err)
	renewals, err := client.KeepAlive(clientv3.WithRequireLeader(ctx), lease.ID)
	must(err)
	<-renewals
	say("ready")
	line := make([]byte, 1)
	_, _ = os.Stdin.Read(line)
	for answer := range needed {
		say("without a leader: canceled %v %v", answer.Canceled, answer.Err())
	}
	_, err = client.Get(clientv3.WithRequireLeader(ctx), "k")
	say("read: %v", err)
	_, err = client.Get(ctx, "k", clientv3.WithSerializable())
	say("serializable: %v", err)
	_, err = client.Get(clientv3.WithRequireLeader(ctx), "k", clientv3.WithSerializable())
	say("serializable with a leader: %v", err)
	for answer := range client.Watch(clientv3.WithRequireLeader(ctx), "k") {
		say("a new watch: canceled %v %v", answer.Canceled, answer.Err())
	}
	say("waiting")
	_, _ = os.Stdin.Read(line)
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = client.Put(attempt, "k", "back")
		cancel()
		if err == nil {
			break
		}
	}
	say("the patient one sees %s", (<-patient).Events[0].Kv.Value)
}
