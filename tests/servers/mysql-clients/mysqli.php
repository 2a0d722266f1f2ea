<?php
// SPDX-License-Identifier: BSD-2-Clause
// A client for captures: php mysqli. Arguments: host, port, user, password, second user, its password.
mysqli_report(MYSQLI_REPORT_OFF);
[$_, $host, $port, $user, $password, $user2, $password2] = $argv;
ini_set('mysqli.allow_local_infile', '1');

function drain($m)
{
    do {
        $m->store_result();
    } while ($m->next_result());
}

$m = mysqli_init();
$m->options(MYSQLI_OPT_LOCAL_INFILE, true);
$m->real_connect($host, $user, $password, 'appdb', (int) $port) or die($m->connect_error . "\n");
$m->set_charset('utf8mb4');
$m->query("SELECT id, name FROM customer WHERE city = 'Oslo' ORDER BY id LIMIT 7");
$m->query("SELECT * FROM no_such_table");
$m->query("INSERT INTO counters VALUES ('php', 1) ON DUPLICATE KEY UPDATE n = n + 1");
$m->multi_query("SELECT 1; UPDATE counters SET n = n + 1 WHERE name = 'a'; SELECT COUNT(*) FROM orders");
drain($m);
$m->query('CALL two_sets(3)');
drain($m);

$s = $m->prepare('SELECT name, balance FROM customer WHERE id = ? AND city <> ?');
for ($i = 1; $i <= 3; $i++) {
    $city = "city $i";
    $s->bind_param('is', $i, $city);
    $s->execute();
    $s->get_result()->fetch_all();
}
$s->close();
$m->prepare('SELECT FROM WHERE');           // fails, and uses an id up on some servers
$s = $m->prepare('INSERT INTO blobs (tag, body) VALUES (?, ?)');
$tag = 'php';
$null = null;
$s->bind_param('sb', $tag, $null);
$s->send_long_data(1, str_repeat('long ', 2000));
$s->send_long_data(1, str_repeat('data ', 2000));
$s->execute();
$s->close();

$s = $m->prepare('SELECT id, item FROM orders ORDER BY id LIMIT 40');
$s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
$s->execute();
$s->bind_result($id, $item);
for ($i = 0; $i < 25 && $s->fetch(); $i++) {
}
$s->reset();
$s->close();

$file = tempnam(sys_get_temp_dir(), 'tb');
file_put_contents($file, "local one\nlocal two\nlocal three\n");
$m->query("LOAD DATA LOCAL INFILE '$file' INTO TABLE otherdb.notes (txt)");
$m->query("LOAD DATA LOCAL INFILE '/nonexistent/file' INTO TABLE otherdb.notes (txt)");
unlink($file);

$m->begin_transaction();
$m->query("UPDATE counters SET n = 5 WHERE name = 'b'");
$m->rollback();
$m->select_db('otherdb');
$m->query('SELECT * FROM notes');
$m->change_user($user2, $password2, 'appdb');
$m->query('SELECT CURRENT_USER()');
$m->ping();
$m->stat();
$m->close();

$wrong = @new mysqli($host, $user, 'a wrong password', 'appdb', (int) $port);
