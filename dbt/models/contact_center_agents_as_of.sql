{% set moment = "CAST('" ~ var('cc_as_of') ~ "' AS TIMESTAMP WITH TIME ZONE)" if var('cc_as_of') else 'CURRENT_TIMESTAMP' %}
SELECT {{ contract_columns() }}
FROM {{ source('contact_center', 'agent_at') }}
WHERE valid_from <= {{ moment }} AND valid_to > {{ moment }}
