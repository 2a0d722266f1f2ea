/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What captured sessions become: plans and their commands, which the script's notes point to. Made
 * by learn.c, read by play.c. Of files they stay until the module is unloaded. Of live sessions the
 * host says when nobody needs a command, or all the rest, any more; learning and playing are one
 * thread's then. Prepared statements stay as long as something may execute them.
 */
#include "mysql.h"

static struct tb_mysql_plan *plans; /* of files, which one thread learns */

struct tb_mysql_plan *tb_mysql_plan_new(bool is_live)
{
    struct tb_mysql_plan *plan = tb_mysql_new(sizeof *plan);

    if (!plan)
        return NULL;
    plan->is_live = is_live;
    plan->commands = (struct tb_mysql_link){&plan->commands, &plan->commands};
    return plan;
}

/* --- commands --------------------------------------------------------------------------------- */

struct tb_mysql_command *tb_mysql_plan_add(struct tb_mysql_plan *plan, unsigned code)
{
    struct tb_mysql_command *c = tb_mysql_new(sizeof *c);
    struct tb_mysql_link *last = plan->commands.prev;

    if (!c)
        return NULL;
    c->code = (uint16_t) code;
    c->slot = TB_MYSQL_NO_SLOT;
    c->refs = 1;
    c->link = (struct tb_mysql_link){&plan->commands, last};
    last->next = plan->commands.prev = &c->link;
    return c;
}

struct tb_mysql_command *tb_mysql_command_ref(struct tb_mysql_command *c)
{
    c->refs++;
    return c;
}

void tb_mysql_command_unref(struct tb_mysql_command *c)
{
    while (c && --c->refs == 0) {
        struct tb_mysql_command *prepare = c->prepare;
        tb_mysql_login_free(c->login);
        tb_mysql_free(c->login);
        tb_mysql_free(c->own);
        tb_mysql_free(c->query);
        tb_mysql_free(c);
        c = prepare;
    }
}

/* Its plan does not have it any more. */
static void drop_command(struct tb_mysql_command *c)
{
    c->link.prev->next = c->link.next;
    c->link.next->prev = c->link.prev;
    tb_mysql_command_unref(c);
}

void tb_mysql_forget_request(uint64_t note)
{
    drop_command((struct tb_mysql_command *) (uintptr_t) note);
}

/* --- plans ------------------------------------------------------------------------------------ */

static void free_plan(struct tb_mysql_plan *plan)
{
    while (plan->commands.next != &plan->commands)
        drop_command((struct tb_mysql_command *) plan->commands.next);
    tb_mysql_free(plan);
}

void tb_mysql_forget_session(uint64_t note)
{
    free_plan((struct tb_mysql_plan *) (uintptr_t) note);
}

void tb_mysql_plan_end(struct tb_mysql_plan *plan, bool used)
{
    if (plan->is_live) /* until it is forgotten */
        return;
    if (used) {
        plan->next = plans;
        plans = plan;
    } else {
        free_plan(plan);
    }
}

void tb_mysql_plans_free(void)
{
    while (plans) {
        struct tb_mysql_plan *next = plans->next;
        free_plan(plans);
        plans = next;
    }
}
