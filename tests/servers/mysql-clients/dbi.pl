#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# A client for captures: perl DBD::mysql. Arguments: host, port, user, password.
use strict;
use warnings;
use DBI;
my ($host, $port, $user, $password) = @ARGV;
for my $options ('mysql_server_prepare=1', 'mysql_compression=1', 'mysql_multi_statements=1') {
    my $db = DBI->connect("DBI:mysql:database=appdb;host=$host;port=$port;mysql_ssl=0;$options",
                          $user, $password, {PrintError => 0, RaiseError => 0}) or die $DBI::errstr;
    my $s = $db->prepare('SELECT id, name, born, score FROM customer WHERE id BETWEEN ? AND ?');
    for my $i (1 .. 3) {
        $s->execute($i, $i + 10);
        $s->fetchall_arrayref;
    }
    $db->do('INSERT INTO orders (customer_id, item, qty, price) VALUES (?, ?, ?, ?)', undef,
            7, "perl's item", 3, 1.25);
    $db->do('SELECT nothing FROM nowhere');
    $db->do("INSERT INTO blobs (tag, body) VALUES ('perl', ?)", undef, 'x' x 70000);
    $db->begin_work;
    $db->do("UPDATE counters SET n = n + 1 WHERE name = 'c'");
    $db->commit;
    if ($options =~ /multi/) {
        my $m = $db->prepare('SELECT 1; SELECT name FROM customer LIMIT 2; DO 0');
        $m->execute;
        while ($m->more_results) { }
    }
    $db->ping;
    $db->disconnect;
}
