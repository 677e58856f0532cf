"""The sentences of generated documents. They are data: brigade/publishing/generated.py fills and arranges them.

A section has a title and one sentence a line. Of `[a|b]` one is taken. `{name}` is a line of that section, or a number
of that kind.
"""

ENGLISH = """
# invoice
Please find attached invoice {number} [over|for|in the amount of] {amount}, due on {date}.
We [bill|charge|invoice] you for {n} units of {product} [delivered|shipped] on {date}.
The total of {amount} includes [VAT|taxes|sales tax] and freight to {city}.
[Net amount|Subtotal] {amount}, tax {percent}, payable within {days} days without deduction.
This [document|bill] refers to your order {number} and to delivery note {number}.
The electronic copy of the tax document was sent to your accounts department on {date}.
# support_ticket
Since [the last update|yesterday|{date}] the system shows error {number} when we open the {product} screen.
I [cannot|am unable to] log in; the password reset mail [never arrives|comes with an expired link].
Steps to reproduce: open the order list, choose {product}, press save; the page [freezes|goes blank].
Could you please [reset|restore|unlock] the account of {person}, user number {number}?
The problem affects {n} users in our [plant|office] and we work with a workaround for now.
Ticket {number} was closed, but the [error|failure] came back on {date}.
# purchase_order
We hereby [order|purchase] {n} units of {product} at the agreed price of {amount}.
Please confirm [receipt of this order|the delivery date] and quote our order number {number}.
Deliver to our [warehouse|plant|store] in {city} no later than {date}.
Terms of delivery as in your offer {number}, payment {days} days after receipt of goods.
Partial deliveries are accepted only [after|with] approval by {person} in purchasing.
Please change the quantity of {product} from {n} to {n} units, all else stays as ordered.
# complaint
I am [very disappointed|extremely unhappy|not satisfied] with the {product} that I received on {date}.
The goods [arrived|were delivered] {days} days late and [two boxes were|part of them was] damaged.
I have [called|written] {n} times and nobody has given me an answer.
I [want|demand|expect] a refund of {amount} or a replacement without further cost.
You charged me {amount} [twice|for something that I never ordered], see invoice {number}.
If this is not solved by {date}, I will [take my business elsewhere|go to the consumer agency].
# quote
Thank you for your [inquiry|request]; we are pleased to offer {product} at {amount} a unit.
This [offer|proposal|estimate] is valid until {date} and subject to prior sale.
For quantities above {n} units we can [grant|give] a discount of {percent}.
Could you send us your best price for {n} units of {product}, delivered to {city}?
We have [prepared|revised] proposal {number} as you [asked|requested] on the phone.
Option A costs {amount}, option B with [extended warranty|installation] costs {amount}.
# payment_reminder
According to our records, the amount of {amount} [has been|is] overdue since {date}.
We have not [yet received|been able to find] your payment for invoice {number}.
[If you have already paid|Should your payment have crossed this letter], please disregard this message.
Kindly settle the open [balance|amount] of {amount} within {days} days.
From {date} on we must charge interest of {percent} a month and a collection fee.
Your account shows {n} open [items|invoices] with a total of {amount}.
# job_application
I [am writing to apply|would like to apply] for the position of {job} that you advertised on {date}.
I have {n} years of experience in [purchasing|accounting|logistics|customer service].
At {company} I was responsible for [a team of {n} people|contracts with suppliers|monthly invoices].
My curriculum vitae and [references|certificates] are attached; {person} can tell you more about my work.
My salary expectation is {amount} a month and I could start on {date}.
I handled [complaints|orders|quotes] of large customers and reduced the waiting time by {percent}.
# meeting_minutes
Present: {person}, {person} and the [sales|purchasing|legal] team; [absent|excused]: {person}.
Item {n} of the agenda: [status of the order|open invoices|the new contract] with {company}.
It was [decided|agreed] to ask for three quotes for {product} before {date}.
{person} [reported|explained] that sales in {city} grew by {percent} in {month}.
Action: {person} will [review|send] the contract draft by {date}.
Next meeting on {date} in [room {n}|{city}|the small meeting room].
# contract
The [parties|undersigned], {company} and {company}, agree to the following terms.
This agreement [takes effect|enters into force] on {date} and runs for {n} months.
The contractor shall [supply|deliver] {product} as described in annex {n}.
Either party may terminate this agreement with {days} days' written notice.
The client shall pay {amount} a month [upon|after] receipt of the invoice.
Both parties shall keep confidential all information [exchanged|received] under this agreement.
# legal_notice
[You are hereby notified|Take notice] that you must comply within {days} days of receipt of this letter.
We represent {company} in the matter of [breach of contract|unpaid invoices|defective goods].
Failing [that|compliance], our client will [take legal action|file a lawsuit] without further notice.
Clause {n} of the agreement of {date} has been [violated|breached] repeatedly.
Case number {number}, [district court|labour court] of {city}; the hearing is set for {date}.
Our client claims damages of {amount} plus interest and [attorney's fees|costs].
# general
As discussed with {person} [last week|on the phone], I am sending you the [information|documents].
Please let me know if you need anything [else|more], my direct number is {phone}.
I have copied {person} from our [finance|legal|sales|quality] department.
The matter is [urgent|not urgent], but we would like to close it before {date}.
The [attached|enclosed] file has all details about {product} and document {number}.
# subject: [Re: our call|Re: our conversation|Document {number}|Re: {product}|{company}, {city}|Fwd: {number}]
# opening: [Dear Sir or Madam,|Dear {person},|Hello {person},|Good morning,|To whom it may concern,]
# quoting: [On {date}, {person} wrote:|----- Forwarded message from {person}, {company} -----]
# closing: [Kind regards, {person}|Best regards, {person}, {company}|Sincerely, {person}|Thanks, {person}]
# company: [Northfield|Bluestone|Harborline|Redwood|Silverlake|Oakridge] [Supplies|Bearings|Foods] [Ltd|Inc]
# product: [office chairs|label printers|steel pipes|LED panels|scanners|water pumps|network cables|paint]
# job: [buyer|accountant|support analyst|legal assistant|sales representative|warehouse supervisor]
# month: [January|February|March|April|May|June|July|August|September|October|November|December]
# date: [{month_number}/{day}/{year}|{month} {day}, {year}]
# amount: USD {money}
# region: [us|uk|ie|ca]
"""
PORTUGUESE = """
# invoice
Segue [anexa|em anexo] a nota fiscal {number} no valor de {amount}, com vencimento em {date}.
Faturamos {n} unidades de {product} [entregues|enviadas] em {date}.
O total de {amount} inclui [impostos|ICMS|IPI] e frete até {city}.
[Valor líquido|Subtotal] {amount}, imposto {percent}, prazo de {days} dias sem desconto.
Este [documento|faturamento] refere-se ao seu pedido {number} e ao romaneio {number}.
O arquivo eletrônico da nota foi enviado ao setor de contas a pagar em {date}.
# support_ticket
Desde [a última atualização|ontem|{date}] o sistema mostra o erro {number} na tela de {product}.
[Não consigo|Não estou conseguindo] entrar; o e-mail de nova senha [não chega|vem com link expirado].
Para reproduzir: abrir a lista de pedidos, escolher {product}, salvar; a página [trava|fica em branco].
Poderiam [redefinir|liberar|desbloquear] o acesso de {person}, usuário número {number}?
O problema atinge {n} usuários da [fábrica|filial] e por enquanto usamos uma planilha.
O chamado {number} foi encerrado, mas [o erro|a falha] voltou em {date}.
# purchase_order
[Solicitamos|Pedimos] o fornecimento de {n} unidades de {product} ao preço combinado de {amount}.
Favor confirmar [o recebimento deste pedido|a data de entrega] e citar o número {number}.
Entregar em [nosso depósito|nossa fábrica|nossa loja] em {city} até {date}.
Condições conforme a proposta {number}, pagamento {days} dias após o recebimento da mercadoria.
Entregas parciais somente com autorização de {person}, do setor de compras.
Favor alterar a quantidade de {product} de {n} para {n} unidades, mantendo o restante do pedido.
# complaint
Estou [muito decepcionado|extremamente insatisfeita|indignado] com o item {product} que recebi em {date}.
A mercadoria [chegou|foi entregue] com {days} dias de atraso e [duas caixas vieram|parte veio] com avaria.
Já [liguei|escrevi] {n} vezes e ninguém me deu uma resposta.
[Quero|Exijo|Espero] a devolução de {amount} ou a troca sem nenhum custo.
Vocês cobraram {amount} [duas vezes|por algo que nunca pedi], vejam a nota {number}.
Se não resolverem até {date}, vou [procurar outro fornecedor|registrar queixa no Procon].
# quote
Agradecemos o [contato|interesse]; temos o prazer de oferecer {product} por {amount} a unidade.
Esta [proposta|cotação|oferta] é válida até {date}, sujeita à disponibilidade em estoque.
Para quantidades acima de {n} unidades podemos [conceder|dar] um desconto de {percent}.
Poderiam enviar o melhor preço para {n} unidades de {product}, com entrega em {city}?
[Preparamos|Revisamos] o orçamento {number} conforme [solicitado|combinado] por telefone.
A opção A custa {amount}; a opção B, com [garantia estendida|instalação], custa {amount}.
# payment_reminder
Conforme nossos registros, o valor de {amount} [está|encontra-se] em atraso desde {date}.
Ainda não [recebemos|localizamos] o pagamento referente à nota fiscal {number}.
[Caso já tenha pago|Se o pagamento já foi feito], favor desconsiderar este aviso.
Solicitamos a quitação do [saldo|valor] em aberto de {amount} em até {days} dias.
A partir de {date} serão cobrados juros de {percent} ao mês e multa por atraso.
Constam {n} [títulos|boletos|notas] em aberto, somando {amount}.
# job_application
[Venho me candidatar|Gostaria de me candidatar] à vaga de {job} anunciada em {date}.
Tenho {n} anos de experiência em [compras|contabilidade|logística|atendimento].
Na {company} fui responsável por [uma equipe de {n} pessoas|contratos com fornecedores|notas fiscais].
Meu currículo e [referências|certificados] estão em anexo; {person} pode falar do meu trabalho.
Minha pretensão salarial é de {amount} por mês e posso começar em {date}.
Cuidei de [reclamações|pedidos|cotações] de grandes clientes e reduzi o tempo de espera em {percent}.
# meeting_minutes
Presentes: {person}, {person} e a equipe [comercial|de compras|jurídica]; [ausente|justificou]: {person}.
Item {n} da pauta: [andamento do pedido|notas em aberto|o novo contrato] com a {company}.
Ficou [decidido|acordado] pedir três cotações de {product} antes de {date}.
{person} [relatou|explicou] que as vendas em {city} cresceram {percent} em {month}.
Ação: {person} vai [revisar|enviar] a minuta do contrato até {date}.
Próxima reunião em {date}, [na sala {n}|em {city}|na sala pequena].
# contract
As [partes|signatárias], {company} e {company}, têm entre si justo e acordado o que segue.
O presente contrato [entra em vigor|passa a valer] em {date} e vigora por {n} meses.
A contratada [fornecerá|entregará] {product} conforme descrito no anexo {n}.
Qualquer das partes poderá rescindir o contrato com aviso prévio de {days} dias, por escrito.
A contratante pagará {amount} por mês [mediante|após] apresentação da nota fiscal.
As partes manterão sigilo sobre as informações [trocadas|recebidas] em razão deste contrato.
# legal_notice
[Fica V. Sa. notificada|Pela presente notificamos] para que cumpra o exigido em até {days} dias.
Representamos a {company} na questão de [descumprimento de contrato|notas não pagas|vício do produto].
Na falta [disso|de resposta], nossa cliente [tomará medidas judiciais|ajuizará ação] sem novo aviso.
A cláusula {n} do contrato de {date} foi [violada|descumprida] reiteradamente.
Processo número {number}, [vara cível|vara do trabalho] de {city}; audiência marcada para {date}.
Nossa cliente pleiteia indenização de {amount}, com juros e [honorários|custas].
# general
Conforme conversei com {person} [na semana passada|por telefone], envio [as informações|os documentos].
Qualquer dúvida, [fico à disposição|estou à disposição], meu telefone direto é {phone}.
Coloquei em cópia {person}, do setor [financeiro|jurídico|comercial|de qualidade].
O assunto [é urgente|não é urgente], mas gostaríamos de encerrar antes de {date}.
O arquivo [anexo|em anexo] traz todos os detalhes sobre {product} e o documento {number}.
# subject
[Re: nossa ligação|Re: nossa conversa|Documento {number}]
[Res: {product}|{company}, {city}|Enc: {number}]
# opening: [Prezados senhores,|Prezada {person},|Olá {person},|Bom dia,|A quem possa interessar,]
# quoting: [Em {date}, {person} escreveu:|----- Mensagem encaminhada de {person}, {company} -----]
# closing: [Atenciosamente, {person}|Abraços, {person}, {company}|Cordialmente, {person}|Obrigado, {person}]
# company: [Aurora|Serrana|Ipê|Horizonte|Pontal|Jatobá|Mirante] [Embalagens|Alimentos|Logística] [Ltda|S.A.]
# product: [cadeiras|impressoras de etiquetas|tubos de aço|painéis de LED|leitores|bombas de água|cabos|tinta]
# job: [comprador|analista contábil|analista de suporte|assistente jurídico|representante|almoxarife]
# month: [janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro]
# date: [{day}/{month_number}/{year}|{day} de {month} de {year}]
# amount: R$ {dinheiro}
# region: [sudeste|sul|nordeste|norte|centro_oeste]
"""
BOTH = """
# person: {first_name} {last_name}
# first_name: [Ana|Beatriz|Carla|Elisa|Lívia|Renata|Sofia|Alice|Bruno|Diego|Eduardo|Paulo|Rafael|Brian|Henry]
# last_name: [Almeida|Barros|Duarte|Falcão|Guimarães|Medeiros|Queiroz|Ribeiro|Valença|Archer|Bennett|Holloway]
# city: [São Paulo|Curitiba|Recife|Goiânia|Campinas|Vitória|Boston|Denver|Leeds|Dublin|Toronto|Chicago]
# channel: [email|portal|scan|chat]
"""
