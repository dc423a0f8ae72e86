{# Each call with its agent and a verdict: the query of docs/attribution.md, which explains it. A test compares them.

    call_log: a relation with the columns call_id, tenant, started_at and the one that called names
    called: softphone_number or agent_id
    max_hours: how far apart two complete runs may be
#}
{% macro attributed_calls(call_log, called='softphone_number', max_hours=3) %}
WITH moment AS (
    SELECT call_id, tenant, {{ called }} AS called, started_at,
           NULL AS covered_from
    FROM {{ call_log }}
    UNION ALL
    SELECT NULL, tenant, NULL, covered_from, covered_from
    FROM {{ source('contact_center', 'agent_coverage') }}
), located AS (
    SELECT call_id, tenant, called, started_at,
           MAX(covered_from) OVER (PARTITION BY tenant ORDER BY started_at) AS covered_from
    FROM moment
), owned AS (
    SELECT c.call_id, c.started_at, c.called, w.covered_from, w.covered_to, w.hours,
           COUNT(DISTINCT h.account) AS owners,
           MIN(CASE WHEN h.valid_from <= c.started_at THEN h.account END) AS account,
           MIN(CASE WHEN h.valid_from <= c.started_at THEN h.agent_id END) AS agent_id,
           MAX(CASE WHEN h.valid_to > w.confirmed_at THEN h.account END) AS confirmed,
           MAX(r.account) AS rejected
    FROM located AS c
    LEFT JOIN {{ source('contact_center', 'agent_coverage') }} AS w
      ON w.tenant = c.tenant AND w.covered_from = c.covered_from
    LEFT JOIN {{ source('contact_center', 'agent_at') }} AS h
      ON h.tenant = c.tenant AND h.{{ called }} = c.called
     AND h.valid_from <= COALESCE(w.confirmed_at, c.started_at) AND h.valid_to > c.started_at
    LEFT JOIN {{ source('contact_center', 'reject') }} AS r
      ON r.tenant = h.tenant AND r.account = h.account
     AND r.rejected_at IN (w.covered_from, w.covered_to)
    WHERE c.call_id IS NOT NULL
    GROUP BY c.call_id, c.started_at, c.called, w.covered_from, w.covered_to, w.hours
)
SELECT call_id, started_at, called,
       CASE WHEN owners = 1 THEN account END AS account,
       CASE WHEN owners = 1 THEN agent_id END AS agent_id,
       CASE
           WHEN covered_from IS NULL THEN 'in a gap that no complete run covers'
           WHEN covered_to IS NULL THEN 'after the last complete sync'
           WHEN hours > {{ max_hours }} THEN 'in a gap that no complete run covers'
           WHEN owners = 0 THEN 'number without an owner'
           WHEN owners > 1 OR account IS NULL OR confirmed IS NULL THEN 'two owners in the window'
           WHEN rejected IS NOT NULL THEN 'in a gap that no complete run covers'
           ELSE 'exact'
       END AS verdict
FROM owned
{% endmacro %}
